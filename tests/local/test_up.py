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
    status = running.status()
    nodes = status["nodes"]
    assert isinstance(nodes, list)
    assert [node["name"] for node in nodes] == ["db-0", "db-1", "db-2"]
    for number, node in enumerate(nodes):
        assert node["address"] == f"127.0.0.1:{running.port + 1 + number}"
        assert (node["process"], node["phase"]) == ("running", "ready")
        assert isinstance(node["records"], int)
        assert isinstance(node["disk_bytes"], int)
        assert isinstance(node["hints"], list)
        assert isinstance(node["counters"], dict)
    table = running.ctl("status").stdout
    assert table.startswith("NAME")
    assert f"127.0.0.1:{running.port}" in table


def test_stop_and_start(running: Cluster) -> None:
    """A stopped node ends and counts as down; `start` makes a new process."""
    before = running.pids()["db-1"]
    running.do("stop", "db-1")
    assert gone(before)
    node = running.node("db-1")
    assert (node["pid"], node["process"], node["state"]) == (None, "stopped", "down")
    assert "stopped already" in refused(running, "stop", "db-1")
    assert "stopped already" in refused(running, "kill", "db-1")
    assert "db-1 is stopped; only" in refused(running, "pause", "db-1")
    running.do("start", "db-1")
    assert running.node("db-1")["process"] == "running"
    assert "running already" in refused(running, "start", "db-1")
    assert running.pids()["db-1"] != before


def test_kill_ends_at_once(running: Cluster) -> None:
    """A killed node has ended when the command returns; `ddb up` reports no crash."""
    before = running.pids()["db-0"]
    running.do("kill", "db-0")
    assert gone(before)
    assert "unexpectedly" not in running.output
    running.do("start", "db-0")


def test_pause_and_resume(running: Cluster) -> None:
    """A paused node keeps its process and does not count as up; `resume` continues it."""
    before = running.pids()["db-2"]
    running.do("pause", "db-2")
    node = running.node("db-2")
    assert (node["pid"], node["process"]) == (before, "paused")
    assert node["state"] in ("suspect", "down")
    assert "db-2 is paused; only" in refused(running, "pause", "db-2")
    running.do("resume", "db-2")
    assert "db-2 is running; only" in refused(running, "resume", "db-2")
    assert running.node("db-2")["process"] == "running"


def test_paused_node_can_be_stopped(running: Cluster) -> None:
    """`stop` wakes a paused node, so that it stops cleanly."""
    running.do("pause", "db-2")
    running.do("stop", "db-2")
    running.do("start", "db-2")


def test_gateway_is_a_process_like_the_others(running: Cluster) -> None:
    """A killed gateway serves again after `start`."""
    running.do("kill", "gateway")
    assert running.status()["gateway"]
    running.do("start", "gateway")
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
    running.do("start", "db-1")


def test_start_on_a_taken_port_is_refused(running: Cluster) -> None:
    """A node does not start while another process uses its port; the error names the port."""
    running.do("stop", "db-1")
    port = running.port + 2
    with socket.create_server(("127.0.0.1", port)):
        assert f"Port {port} on 127.0.0.1, for db-1, is taken" in refused(running, "start", "db-1")
    running.do("start", "db-1")


def test_failed_start_shows_the_end_of_the_log(running: Cluster) -> None:
    """`ddb start` of a node that fails prints the end of its log."""
    running.do("stop", "db-1")
    kept, elsewhere = running.data / "db-1", running.data / "elsewhere"
    kept.rename(elsewhere)
    kept.write_text("a file where the data directory should be")
    error = refused(running, "start", "db-1")
    kept.unlink()
    elsewhere.rename(kept)
    assert "db-1 did not start. Its data stays on disk" in error
    assert str(kept) in error
    running.do("start", "db-1")


def test_second_up_on_the_same_data_is_refused(running: Cluster) -> None:
    """A second `ddb up` on a directory in use is refused; the first one continues."""
    error = refused(running, "up", "--port", str(running.port + 10))
    assert f"Another `ddb up` (pid {running.pid}) is running on {running.data}." in error
    assert len(running.pids()) == 4


def test_taken_port_is_named(running: Cluster, tmp_path: Path) -> None:
    """`ddb up` refuses a taken port before it starts any process."""
    other = Cluster(tmp_path)
    other.port = running.port + 2
    done = other.ctl("up", "--port", str(other.port))
    assert done.returncode == 1
    assert "is taken by another process" in done.stderr
    assert not list(other.data.glob("*.log"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_all_and_data_comes_back(tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends every process, also a paused one; the next start has all data."""
    cluster = Cluster(tmp_path)
    with cluster:
        assert cluster.request("POST", "/api/users/", ADA)[0] == 201
        pids = cluster.pids()
        cluster.do("pause", "db-1")
        assert cluster.stop(number) == 0
        assert all_gone(pids)()
        assert "not running" in refused(cluster, "status")
        cluster.start()
        assert cluster.request("GET", "/api/users/ada") == (200, ADA)
        assert (cluster.data / "db-0.log.1").exists()


def test_no_process_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """The processes of a killed supervisor end, also paused ones; `up` works again."""
    with Cluster(tmp_path) as cluster:
        pids = cluster.pids()
        cluster.do("pause", "db-0")
        cluster.do("pause", "gateway")
        cluster.stop(signal.SIGKILL)
        assert wait_for(all_gone(pids), 5)
        cluster.start()
        assert len(cluster.pids()) == 4


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


def test_damaged_store_stops_the_start(tmp_path: Path) -> None:
    """A node that refuses its store ends the start; `ddb up` prints the end of its log."""
    cluster = Cluster(tmp_path)
    with cluster:
        cluster.stop()
        for file in (cluster.data / "db-1").rglob("*"):
            if file.is_file():
                file.write_bytes(b"damaged")
        with pytest.raises(StartError) as caught:
            cluster.start()
    assert "db-1 exited with 1 while the cluster was starting. The end of its log:" in str(
        caught.value
    )
    assert str(cluster.data / "db-1") in str(caught.value)
    assert "all of its processes have ended. Its data stays on disk." in str(caught.value)


def test_other_number_of_nodes_is_refused(tmp_path: Path) -> None:
    """Data of three nodes does not start with five."""
    with Cluster(tmp_path) as cluster:
        cluster.stop()
        assert "is of 3 nodes" in refused(cluster, "up", "--nodes", "5")


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
    """`ddb status --json` prints one JSON document and nothing else."""
    assert json.loads(running.ctl("status", "--json").stdout)["data"] == str(running.data)
