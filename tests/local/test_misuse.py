"""Misuse of a node's process: wrong directories, damaged data, taken ports."""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ddb.node.storage.rocksdb import MARK_INTERVAL_S
from tests.cluster import Cluster, free_ports
from tests.process import Process, members

NAMES = ("db-0", "db-1", "db-2")
USERS = 60


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a cluster that held some users; db-2 was killed, the others were stopped."""
    directory = tmp_path_factory.mktemp("kept")
    with Cluster(directory) as cluster:
        for number in range(USERS):
            user = {"id": f"u{number}", "name": "A", "email": "a@b.co", "group": number}
            assert cluster.request("POST", "/api/users/", user)[0] == 201
        # For the mark that tells a log cut short from one that a crash left unfinished.
        time.sleep(2 * MARK_INTERVAL_S)
        cluster.do("kill", "db-2")
        assert cluster.stop() == 0
    return cluster.data


@pytest.fixture
def data(kept: Path, tmp_path: Path) -> Path:
    """A copy of that data, to be misused."""
    return shutil.copytree(kept, tmp_path / "data", ignore=shutil.ignore_patterns("*.sock"))


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, with what is in it."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def node(directory: Path, data: Path, name: str, port: int, names: tuple[str, ...]) -> Process:
    """One node's process, in a cluster of these."""
    return Process(
        directory,
        *("node", "--name", name, "--host", "127.0.0.1", "--data", str(data)),
        *("--members", members(port, names)),
    )


def refusal(process: Process) -> str:
    """The one sentence of a node that refuses to start."""
    with process:
        assert process.ended() == 1
        lines = process.output.splitlines()
    logged = (" INFO ", " WARNING ", " ERROR ")
    said = [line for line in lines if not any(level in line for level in logged)]
    assert "Traceback" not in process.output
    return " ".join(said)


def test_directory_of_another_node(data: Path, tmp_path: Path) -> None:
    """A node that is given another's directory says whose it is and touches nothing."""
    before = contents(data / "db-1")
    said = refusal(node(tmp_path, data / "db-1", "db-0", free_ports(3), NAMES))
    assert said.startswith("db-0: the data directory belongs to db-1, not to db-0")
    assert contents(data / "db-1") == before


@pytest.mark.parametrize(
    "names", [("db-0", "db-1", "db-2", "db-3"), ("db-0", "db-1", "db-9")], ids="/".join
)
def test_directory_of_another_cluster(data: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    """A node whose data was made for other nodes says for which and touches nothing."""
    before = contents(data / "db-0")
    said = refusal(node(tmp_path, data / "db-0", "db-0", free_ports(4), names))
    assert "was made for the nodes db-0, db-1, db-2, not for " + ", ".join(names) in said
    assert contents(data / "db-0") == before


def test_directory_in_use(cluster: Cluster, tmp_path: Path) -> None:
    """A second node on a running node's directory is refused; the first one is not disturbed."""
    directory = cluster.data / "db-1"
    pids = cluster.pids()
    said = refusal(node(tmp_path, directory, "db-1", free_ports(3), NAMES))
    assert said == f"db-1: {directory} is in use by another running node"
    assert cluster.pids() == pids
    user = {"id": "in-use", "name": "A", "email": "a@b.co", "group": 1}
    assert cluster.request("POST", "/api/users/", user)[0] == 201


def test_directory_that_is_a_file(tmp_path: Path) -> None:
    """A data directory that is a file is named, and left as it is."""
    path = tmp_path / "file"
    path.write_text("mine")
    said = refusal(node(tmp_path, path, "db-0", free_ports(3), NAMES))
    assert str(path) in said
    assert path.read_text() == "mine"


def damage_current(rocks: Path) -> None:
    (rocks / "CURRENT").write_bytes(b"MANIFEST-999999\n")


def remove_current(rocks: Path) -> None:
    (rocks / "CURRENT").unlink()


def damage_manifest(rocks: Path) -> None:
    for manifest in rocks.glob("MANIFEST-*"):
        raw = bytearray(manifest.read_bytes())
        for at in range(len(raw) // 3, len(raw) // 3 + 20):
            raw[at] ^= 0xFF
        manifest.write_bytes(raw)


def cut_log(rocks: Path) -> None:
    """The log that holds the users, at half."""
    longest = max(rocks.glob("*.log"), key=lambda path: path.stat().st_size)
    os.truncate(longest, longest.stat().st_size // 2)


def damage_log(rocks: Path) -> None:
    longest = max(rocks.glob("*.log"), key=lambda path: path.stat().st_size)
    raw = bytearray(longest.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    longest.write_bytes(raw)


def damage_tables(rocks: Path) -> None:
    for table in rocks.glob("*.sst"):
        raw = bytearray(table.read_bytes())
        raw[-60:] = bytes(60)
        table.write_bytes(raw)


def cut_tables(rocks: Path) -> None:
    for table in rocks.glob("*.sst"):
        os.truncate(table, table.stat().st_size // 2)


def remove_tables(rocks: Path) -> None:
    for table in rocks.glob("*.sst"):
        table.unlink()


def remove_everything(rocks: Path) -> None:
    shutil.rmtree(rocks)


def garbage_everywhere(rocks: Path) -> None:
    for path in rocks.iterdir():
        if path.is_file():
            path.write_bytes(b"garbage")


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (damage_current, "db-2"),
        (remove_current, "db-2"),
        (damage_manifest, "db-2"),
        (cut_log, "db-2"),
        (damage_log, "db-2"),
        (damage_tables, "db-1"),
        (cut_tables, "db-1"),
        (remove_tables, "db-1"),
        (remove_everything, "db-0"),
        (garbage_everywhere, "db-0"),
    ],
    ids=lambda given: given if isinstance(given, str) else given.__name__,
)
def test_damaged_store(
    data: Path, tmp_path: Path, damage: Callable[[Path], None], name: str
) -> None:
    """A node whose store is damaged or cut short does not start, and says where and what to do."""
    directory = data / name
    damage(directory / "rocks")
    # Tables that are damaged are no reason alone; the one with the node's identity is.
    said = refusal(node(tmp_path, directory, name, free_ports(3), NAMES))
    assert said.startswith(f"{name}: ")
    assert str(directory) in said
    assert "start this node with an empty directory" in said


def test_taken_port(data: Path, tmp_path: Path) -> None:
    """A node whose port is taken says which one, and its data is as good as before."""
    port = free_ports(3)
    with socket.create_server(("127.0.0.1", port)):
        said = refusal(node(tmp_path, data / "db-0", "db-0", port, NAMES))
    assert f"db-0: 127.0.0.1:{port} is already in use. The node has changed no record;" in said
    with node(tmp_path, data / "db-0", "db-0", port, NAMES) as process:
        assert process.says("listens on")


def test_taken_port_of_a_gateway(tmp_path: Path) -> None:
    """A gateway whose port is taken says which one."""
    port = free_ports(4)
    with (
        socket.create_server(("127.0.0.1", port)),
        Process(
            tmp_path,
            *("gateway", "--host", "127.0.0.1", "--port", str(port)),
            *("--members", members(port + 1)),
        ) as gateway,
    ):
        assert gateway.ended() == 1
        assert f"127.0.0.1:{port} is already in use" in gateway.output


def test_nothing_of_it_was_lost(kept: Path, tmp_path: Path) -> None:
    """The data that the other tests misuse copies of comes back whole."""
    port = free_ports(4)
    data = shutil.copytree(kept, tmp_path / "data", ignore=shutil.ignore_patterns("*.sock"))
    cluster = Cluster(tmp_path)
    cluster.port = port
    assert cluster.data == data
    with cluster:
        assert cluster.request("GET", "/api/users/count") == (200, {"count": USERS})
        status, users = cluster.request("GET", "/api/users/?limit=1000")
        assert status == 200
        assert len(json.loads(json.dumps(users))) == USERS
