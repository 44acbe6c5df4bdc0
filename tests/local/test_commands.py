"""What the `ddb` command accepts, and the commands that it prints."""

import http.server
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddb.cli import _COMMANDS
from ddb.local.banner import banner
from ddb.local.layout import foreign_name
from tests.cluster import Cluster, environment, free_ports, wait_for

ALL = ["db-0", "db-1", "db-2", "gateway"]


def ddb(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `ddb` without settings in the environment."""
    return subprocess.run(
        [sys.executable, "-m", "ddb", *command],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        cwd=cwd,
        check=False,
    )


@pytest.fixture(scope="module")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster in a directory with a blank in its name."""
    directory = tmp_path_factory.mktemp("my cluster")
    with Cluster(directory) as cluster:
        yield cluster


def test_no_command_prints_help(tmp_path: Path) -> None:
    """`ddb` alone prints the help with examples, and succeeds."""
    done = ddb(cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nexamples:\n  ddb up --port 9000 --nodes 5 " in done.stdout


def test_misspelt_command(tmp_path: Path) -> None:
    """A misspelt command exits with 2 and suggests the right one; all commands are accepted."""
    done = ddb("staus", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean `ddb status`?" in done.stderr
    assert "Did you mean" not in ddb("zzz", cwd=tmp_path).stderr
    listed = ddb(cwd=tmp_path).stdout
    assert all(f"\n    {name} " in listed for name in _COMMANDS)


def test_misspelt_process(spaced: Cluster) -> None:
    """One misspelt name refuses the whole command, with a suggestion, before any action."""
    done = spaced.ctl("kill", "db-0", "db1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Did you mean db-1?" in done.stderr
    assert sorted(spaced.pids()) == ALL
    assert "Did you mean" not in foreign_name("x", ALL)


def test_several_names_and_all(spaced: Cluster) -> None:
    """`stop` and `start` take several names; `all` skips processes without need of the action."""
    done = spaced.ctl("stop", "db-0", "db-1", "db-0")
    assert (done.returncode, done.stdout) == (0, "db-0 is stopped.\ndb-1 is stopped.\n")
    done = spaced.ctl("start", "all")
    assert done.returncode == 0
    assert [line.split(" (pid")[0] for line in done.stdout.splitlines()] == [
        "db-0 is started",
        "db-1 is started",
    ]
    again = spaced.ctl("start", "all")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith("`ddb start all` has no process to act on.")
    assert spaced.ctl("stop", "all").returncode == 0
    assert spaced.pids() == {}
    assert spaced.ctl("start", "all").returncode == 0
    assert sorted(spaced.pids()) == ALL


def test_one_refusal_of_several(spaced: Cluster) -> None:
    """A refused name gives exit code 1, and the command still acts on the others."""
    spaced.do("pause", "db-2")
    done = spaced.ctl("resume", "db-0", "db-2")
    assert (done.returncode, done.stdout) == (1, "db-2 is running again.\n")
    assert "db-0 is running; only" in done.stderr


def test_health_of_a_local_cluster(spaced: Cluster) -> None:
    """`ddb health` without settings checks every process of the local cluster."""

    def all_good() -> bool:
        done = ddb("health", "--voting", cwd=spaced.data.parent)
        return done.returncode == 0 and len(done.stdout.splitlines()) == len(ALL)

    assert wait_for(all_good, 20)
    spaced.do("stop", "db-1")
    done = spaced.ctl("health")
    assert done.returncode == 1
    assert f"db-1 does not answer on 127.0.0.1:{spaced.port + 2}" in done.stdout
    assert "db-0 votes and stores" in done.stdout
    spaced.ctl("start", "db-1")
    assert wait_for(lambda: spaced.ctl("health", "--gateway").returncode == 0, 20)


def test_printed_commands_survive_a_shell(spaced: Cluster, tmp_path: Path) -> None:
    """A shell takes the printed commands as they are, also with a blank in the path."""
    data = str(spaced.data)
    assert " " in data
    lines = banner(spaced.url, spaced.data).splitlines()
    for line in [line for line in lines if "--data" in line]:
        assert shlex.split(line)[-2:] == ["--data", data]
    (copy := tmp_path / "a b").mkdir()
    (copy / "cluster.json").write_bytes((spaced.data / "cluster.json").read_bytes())
    stopped = ddb("stop", "db-0", "--data", str(copy), cwd=tmp_path)
    assert f"`ddb up --data {shlex.quote(str(copy))}` starts it." in stopped.stderr


def test_second_up_on_a_port_of_a_cluster(spaced: Cluster, tmp_path: Path) -> None:
    """`ddb up` on a cluster's port has the chosen port, and the verdict of the gateway there."""
    done = ddb("up", "--port", str(spaced.port), "--data", str(tmp_path / "new"), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"ddb: Port {spaced.port} on 127.0.0.1, for gateway, is taken")
    assert 'A gateway of ddb answers there: "READY: ' in done.stderr
    same = spaced.ctl("up")
    assert f"on {spaced.data} with its gateway at {spaced.url}. It continues" in same.stderr


def test_up_on_the_port_of_another_server(tmp_path: Path) -> None:
    """`ddb up` distinguishes an HTTP server on its port, and names the port that was chosen."""
    port = free_ports(4)
    server = http.server.HTTPServer(("127.0.0.1", port + 2), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        done = ddb("up", "--port", str(port), "--data", str(tmp_path / "new"), cwd=tmp_path)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert done.returncode == 1
    assert f"Port {port + 2} on 127.0.0.1, for db-1, is taken" in done.stderr
    assert f"`--port {port}` takes {port} to {port + 3}. An HTTP server that is not ddb" in (
        done.stderr
    )
