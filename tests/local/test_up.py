"""`ddb up` and the commands that act on it, on real processes."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import READY, Cluster, StartError, gone, wait_for

ADA = {"id": "ada", "name": "Ada Lovelace", "email": "ada@example.com", "group": 1}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for tests that break it and repair it again."""
    with Cluster(tmp_path_factory.mktemp("up")) as cluster:
        yield cluster


def all_gone(pids: dict[str, int]) -> Callable[[], bool]:
    """Return a check that all of these processes have ended."""

    def check() -> bool:
        return all(gone(pid) for pid in pids.values())

    return check


def command(cluster: Cluster, *arguments: str) -> str:
    """Run a command that must succeed, and return its output."""
    done = cluster.ctl(*arguments)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def refused(cluster: Cluster, *command: str) -> str:
    """Run a command that must fail, and return its error."""
    done = cluster.ctl(*command)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_ready_line_and_three_requests(running: Cluster) -> None:
    """The ready line has the URL, and below it three requests to try."""
    assert f"{READY}: {running.url}" in running.output
    assert running.output.count(f"curl -i {running.url}/api/users/") == 3


def test_every_process_is_separate(running: Cluster) -> None:
    """Three nodes and a gateway run as four separate processes."""
    pids = running.pids()
    assert sorted(pids) == ["db-0", "db-1", "db-2", "gateway"]
    assert len(set(pids.values())) == 4
    for pid in pids.values():
        os.kill(pid, 0)


def test_status_of_a_whole_cluster(running: Cluster) -> None:
    """The status has every node's address, process, state, records, hints, disk and counters."""
    names = ("db-0", "db-1", "db-2")
    assert wait_for(lambda: all(running.node(name)["phase"] == "ready" for name in names), 10)
    nodes = json.loads(command(running, "status", "--json"))["nodes"]
    assert [node["name"] for node in nodes] == ["db-0", "db-1", "db-2"]
    for number, node in enumerate(nodes):
        assert node["address"] == f"127.0.0.1:{running.port + 1 + number}"
        assert (node["process"], node["phase"]) == ("running", "ready")
        assert isinstance(node["records"], int)
        assert isinstance(node["disk_bytes"], int)
        assert isinstance(node["hints"], list)
        assert isinstance(node["counters"], dict)
    table = command(running, "status")
    assert table.startswith("READY: all 3 nodes decide; one more may fail\n\nNAME")
    assert f"127.0.0.1:{running.port}" in table


def test_stop_and_start(running: Cluster) -> None:
    """A stopped node ends and counts as down; `start` makes a new process."""
    before = running.pids()["db-1"]
    command(running, "stop", "db-1")
    assert gone(before)
    node = running.node("db-1")
    assert (node["pid"], node["process"], node["state"]) == (None, "stopped", "down")
    assert "stopped already" in refused(running, "stop", "db-1")
    assert "stopped already" in refused(running, "kill", "db-1")
    assert "db-1 is stopped; only" in refused(running, "pause", "db-1")
    command(running, "start", "db-1")
    assert running.node("db-1")["process"] == "running"
    assert "running already" in refused(running, "start", "db-1")
    assert running.pids()["db-1"] != before


def test_kill_ends_at_once(running: Cluster) -> None:
    """A killed node has ended when the command returns; `ddb up` reports no crash."""
    before = running.pids()["db-0"]
    command(running, "kill", "db-0")
    assert gone(before)
    assert "unexpectedly" not in running.output
    command(running, "start", "db-0")


def test_pause_and_resume(running: Cluster) -> None:
    """A paused node keeps its process and does not count as up; `resume` continues it."""
    before = running.pids()["db-2"]
    command(running, "pause", "db-2")
    node = running.node("db-2")
    assert (node["pid"], node["process"]) == (before, "paused")
    assert node["state"] in ("suspect", "down")
    assert "db-2 is paused; only" in refused(running, "pause", "db-2")
    command(running, "resume", "db-2")
    assert "db-2 is running; only" in refused(running, "resume", "db-2")
    assert running.node("db-2")["process"] == "running"


def test_paused_node_can_be_stopped(running: Cluster) -> None:
    """`stop` wakes a paused node, so that it stops cleanly."""
    command(running, "pause", "db-2")
    command(running, "stop", "db-2")
    command(running, "start", "db-2")


def test_gateway_is_a_process_like_the_others(running: Cluster) -> None:
    """A killed gateway serves again after `start`."""
    command(running, "kill", "gateway")
    assert running.status()["gateway"]
    command(running, "start", "gateway")
    assert wait_for(lambda: running.request("GET", "/readyz")[0] == 200, 10)


def test_foreign_name_is_refused(running: Cluster) -> None:
    """The error for a foreign name lists the names of the cluster."""
    error = refused(running, "kill", "db-3")
    assert "There is no db-3 in this cluster." in error
    assert "Choose one of db-0, db-1, db-2, gateway." in error


def test_crash_is_reported_and_survived(running: Cluster) -> None:
    """`ddb up` reports a crash in one line; the other processes continue."""
    pid = running.pids()["db-1"]
    os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: "db-1 was ended by SIGKILL unexpectedly." in running.output, 5)
    assert sorted(running.pids()) == ["db-0", "db-2", "gateway"]
    command(running, "start", "db-1")


def test_start_on_a_taken_port_is_refused(running: Cluster) -> None:
    """A node does not start while another process uses its port; the error names the port."""
    command(running, "stop", "db-1")
    port = running.port + 2
    with socket.create_server(("127.0.0.1", port)):
        assert f"Port {port} on 127.0.0.1, for db-1, is taken" in refused(running, "start", "db-1")
    command(running, "start", "db-1")


def test_failed_start_shows_the_end_of_the_log(running: Cluster) -> None:
    """`ddb start` of a node that fails prints the end of its log."""
    command(running, "stop", "db-1")
    kept, elsewhere = running.data / "db-1", running.data / "elsewhere"
    kept.rename(elsewhere)
    kept.write_text("a file where the data directory should be")
    error = refused(running, "start", "db-1")
    kept.unlink()
    elsewhere.rename(kept)
    assert "db-1 did not start. Its data stays on disk" in error
    assert str(kept) in error
    command(running, "start", "db-1")


def test_second_up_on_the_same_data_is_refused(running: Cluster) -> None:
    """A second `ddb up` on a directory in use is refused; the first one continues."""
    error = refused(running, "up", "--port", str(running.port + 10))
    assert f"Another `ddb up` (pid {running.pid}) is running on {running.data} with its" in error
    assert f"gateway at http://127.0.0.1:{running.port}." in error
    assert len(running.pids()) == 4


def test_taken_port_is_named(running: Cluster, tmp_path: Path) -> None:
    """`ddb up` refuses a taken port before it starts any process."""
    other = Cluster(tmp_path)
    other.port = running.port + 2
    done = other.ctl("up", "--port", str(other.port))
    assert done.returncode == 1
    assert "is taken by another process" in done.stderr
    assert not list(other.data.glob("*.log"))


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with one user, for tests that stop and start all of it."""
    with Cluster(tmp_path_factory.mktemp("restarted")) as cluster:
        assert cluster.request("POST", "/api/users/", ADA)[0] == 201
        yield cluster


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_all_and_data_comes_back(restarted: Cluster, number: signal.Signals) -> None:
    """A signal ends every process, also a paused one; the next start has all data."""
    pids = restarted.pids()
    command(restarted, "pause", "db-1")
    assert restarted.stop(number) == 0
    assert all_gone(pids)()
    stopped = restarted.ctl("status", "--json")
    assert (stopped.returncode, stopped.stdout) == (2, "")
    assert "not running" in stopped.stderr
    restarted.start()
    assert restarted.request("GET", "/api/users/ada") == (200, ADA)
    assert (restarted.data / "db-0.log.1").exists()


def test_no_process_outlives_a_killed_supervisor(restarted: Cluster) -> None:
    """The processes of a killed supervisor end, also paused ones; `up` works again."""
    pids = restarted.pids()
    command(restarted, "pause", "db-0")
    command(restarted, "pause", "gateway")
    restarted.stop(signal.SIGKILL)
    assert wait_for(all_gone(pids), 5)
    restarted.start()
    assert len(restarted.pids()) == 4


def test_stop_while_starting_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C before the cluster is ready ends every started process."""
    cluster = Cluster(tmp_path)
    cluster.launch()
    try:
        assert wait_for((cluster.data / "gateway.log").exists, 10)
        pids = cluster.pids()
    finally:
        code = cluster.stop(signal.SIGINT)
    assert code == 0
    assert all_gone(pids)()


def test_damaged_store_stops_the_start(data: Path, tmp_path: Path) -> None:
    """A node that refuses its store ends the start; `ddb up` prints the end of its log."""
    for file in (data / "db-1").rglob("*"):
        if file.is_file():
            file.write_bytes(b"damaged")
    with pytest.raises(StartError) as caught:
        Cluster(tmp_path).start()
    assert "db-1 exited with 1 while the cluster was starting. The end of its log:" in str(
        caught.value
    )
    assert str(data / "db-1") in str(caught.value)
    assert "all of its processes have ended. Its data stays on disk." in str(caught.value)


def test_other_number_of_nodes_is_refused(data: Path, tmp_path: Path) -> None:
    """Data of three nodes does not start with five."""
    assert data.parent == tmp_path
    assert "is of 3 nodes" in refused(Cluster(tmp_path), "up", "--nodes", "5")


def test_wrong_setting_exits_2(tmp_path: Path) -> None:
    """A wrong setting gives one line and the exit code of wrong usage."""
    cluster = Cluster(tmp_path, DDB_FSYNC="perhaps")
    for command in (("up",), ("node", "--name", "db-0")):
        done = cluster.ctl(*command)
        assert done.returncode == 2
        assert done.stderr.startswith("ddb: DDB_FSYNC is 'perhaps'.")
        assert len(done.stderr.splitlines()) == 1
    assert not cluster.data.exists()


def test_commands_answer_quickly(running: Cluster) -> None:
    """A command loads only the modules that it needs, so it answers within a second."""
    best = 9.0
    for _ in range(3):
        start = time.monotonic()
        running.ctl("--help")
        best = min(best, time.monotonic() - start)
    assert best < 1.0


def test_json_status_is_json(running: Cluster) -> None:
    """`ddb status --json` prints one JSON document, with its version, and nothing else."""
    status = json.loads(command(running, "status", "--json"))
    assert status["data"] == str(running.data)
    assert list(status)[:4] == ["format", "verdict", "ready", "tolerates"]
    assert (status["format"], status["ready"], status["tolerates"]) == (1, True, 1)
    assert "requests_per_operation" not in status


def test_verdict_follows_failures(running: Cluster) -> None:
    """One failed node leaves exit code 0; two, or a failed gateway, give 1 and the reason."""

    def verdict(code: int, beginning: str) -> bool:
        done = running.ctl("status")
        return done.returncode == code and done.stdout.startswith(beginning)

    assert wait_for(lambda: verdict(0, "READY: all 3 nodes decide; one more may fail\n"), 10)
    running.do("kill", "db-1")
    after = "READY: 2 of 3 nodes decide (db-1 is down); after one more failure"
    assert wait_for(lambda: verdict(0, after), 5)
    running.do("kill", "db-2")
    assert wait_for(lambda: verdict(1, "NOT READY: "), 5)
    status, answer = running.request("GET", "/readyz")
    assert (status, answer["ready"]) == (503, False)
    # The remaining node may already report that it cannot decide.
    assert "db-1 is down, db-2 is down); all reads and writes are refused" in answer["verdict"]
    running.do("start", "db-1")
    running.do("start", "db-2")
    running.do("kill", "gateway")
    gone = f"NOT READY: the gateway at {running.url} does not answer; 3 of 3 nodes vote,"
    assert wait_for(lambda: verdict(1, gone), 10)
    running.do("start", "gateway")
    assert wait_for(lambda: verdict(0, "READY: all 3 nodes decide"), 10)
