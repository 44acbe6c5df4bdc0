"""`ddb health`, and `ddb status` of a cluster without a supervisor."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ddb.local.health import Health, Level, health_by_status
from tests.cluster import Cluster, environment, free_ports
from tests.local.test_report import table_of
from tests.process import Process, members


def ddb(*command: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ddb", *command],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(**environ),
        cwd=cwd,
        check=False,
    )


def settings(cluster: Cluster) -> dict[str, str]:
    return {"DDB_NODES": members(cluster.port + 1), "PORT": str(cluster.port)}


def test_health_of_a_voting_node(cluster: Cluster, tmp_path: Path) -> None:
    """A node that votes is healthy at every level."""
    for level in ("--alive", "--working", "--voting"):
        done = ddb("health", level, cwd=tmp_path, DDB_NAME="db-1", **settings(cluster))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("db-1 votes and stores ")


def test_health_of_a_gateway(cluster: Cluster, tmp_path: Path) -> None:
    """A gateway is healthy when it answers that it is ready."""
    done = ddb("health", "--gateway", cwd=tmp_path, **settings(cluster))
    assert done.returncode == 0
    assert done.stdout.startswith('/readyz answers 200: {"verdict":"READY: ')


def test_health_of_a_missing_process(tmp_path: Path) -> None:
    """A process that does not answer is not alive."""
    port = free_ports(4)
    environ = {"DDB_NODES": members(port + 1), "PORT": str(port), "DDB_NAME": "db-0"}
    for flags in ((), ("--gateway",)):
        done = ddb("health", "--alive", *flags, cwd=tmp_path, **environ)
        assert done.returncode == 1
        assert "does not answer on 127.0.0.1:" in done.stdout


def test_health_of_a_waiting_node(tmp_path: Path) -> None:
    """A node that waits for others to join is alive, and lists them."""
    nodes = members(free_ports(3))
    with Process(tmp_path, "node", "--members", nodes, "--name", "db-0", "--data", "d") as node:
        assert node.says("db-0 waits for db-1, db-2 to join")
        environ = {"DDB_NODES": nodes, "DDB_NAME": "db-0"}
        assert ddb("health", "--alive", cwd=tmp_path, **environ).returncode == 0
        working = ddb("health", cwd=tmp_path, **environ)
        assert (working.returncode, working.stdout) == (1, "db-0 waits for db-1, db-2 to join\n")


def test_status_without_a_supervisor(cluster: Cluster, tmp_path: Path) -> None:
    """Without a supervisor, the status comes from the nodes that the environment names."""
    done = ddb("status", "--json", cwd=tmp_path, **settings(cluster))
    assert done.returncode == 0
    status = json.loads(done.stdout)
    assert [node["state"] for node in status["nodes"]] == ["up", "up", "up"]
    assert status["gateway"]["state"] == "up"
    assert {node["process"] for node in status["nodes"]} == {"-"}


def test_status_without_any_cluster(tmp_path: Path) -> None:
    """Without a local cluster and without an environment, `ddb status` fails with the reason."""
    done = ddb("status", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no local cluster in " in done.stderr


def test_rebuild_and_full_disk_are_in_the_table() -> None:
    """The table shows the progress of a rebuild, and which disk is full."""
    node = {"name": "db-0", "address": "h:1", "pid": None, "process": "-", "state": "suspect"}
    gateway = {"url": "http://h:2", "process": "-", "state": "up"}
    rebuilding = node | {"phase": "joining", "refill": {"done": 0.43, "records": 12}}
    assert "suspect, refilling 43%" in table_of(rebuilding, gateway)
    full = node | {"phase": "ready", "refill": None, "room": "scarce", "scarcest": "bytes"}
    assert "suspect, disk full  " in table_of(full, gateway)
    crowded = full | {"scarcest": "inodes"}
    assert "suspect, disk full: inodes" in table_of(crowded, gateway)


@pytest.mark.parametrize(
    ("disk", "remark"), [("slow", ", disk slow"), ("stalled", ", disk stalled"), ("healthy", "")]
)
def test_slow_disk_is_in_the_table(disk: str, remark: str) -> None:
    """The table marks a slow or stalled disk, and does not mark a healthy one."""
    node = {"name": "db-0", "address": "h:1", "pid": None, "process": "-", "state": "slow"}
    table = table_of(node | {"disk": disk}, {"url": "", "process": "-", "state": "up"})
    assert f"slow{remark}  " in table


@pytest.mark.parametrize("level", Level)
def test_health_of_a_node_with_a_slow_disk(level: Level) -> None:
    """Of all levels only the voting level fails, and only for a stalled disk."""
    status: dict[str, object] = {"state": "ready", "records": 7, "disk": "healthy"}
    assert health_by_status("db-0", status, level) == Health(
        True, "db-0 votes and stores 7 records"
    )
    slow = health_by_status("db-0", status | {"disk": "slow"}, level)
    assert slow.good
    assert "its disk is slow" in slow.reason
    stalled = health_by_status("db-0", status | {"disk": "stalled"}, level)
    assert stalled.good is (level is not Level.VOTING)
    assert "its disk is stalled" in stalled.reason
