"""A node or gateway that must refuse to start.

The reasons are a wrong data directory, damaged data, or a port in use.
"""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ddb.node.storage.rocksdb import RocksStore
from ddb.settings import Fsync
from tests.cluster import Cluster, free_ports
from tests.local.conftest import USERS
from tests.process import Process, members

NAMES = ("db-0", "db-1", "db-2")


def contents(directory: Path) -> dict[str, bytes]:
    """Return the content of every file below a directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def node(directory: Path, data: Path, name: str, port: int, names: tuple[str, ...]) -> Process:
    """Start the node `name` of a cluster of `names`.

    Args:
        directory: the directory of the process's output.
        data: the data directory of the node.
        name: the name of this node.
        port: the port of the first node. Each further node has the next port.
        names: the names of all nodes.
    """
    return Process(
        directory,
        *("node", "--name", name, "--host", "127.0.0.1", "--data", str(data)),
        *("--members", members(port, names)),
    )


def refusal(process: Process) -> str:
    """Check that a node refuses to start. Return its error without its log lines."""
    with process:
        assert process.ended() == 1
        lines = process.output.splitlines()
    levels = (" INFO ", " WARNING ", " ERROR ")
    printed = [line for line in lines if not any(level in line for level in levels)]
    assert "Traceback" not in process.output
    return " ".join(printed)


def test_directory_of_another_node(data: Path, tmp_path: Path) -> None:
    """A node refuses another node's directory with that node's name, and changes nothing."""
    before = contents(data / "db-1")
    error = refusal(node(tmp_path, data / "db-1", "db-0", free_ports(3), NAMES))
    assert error.startswith("db-0: the data directory belongs to db-1, not to db-0")
    assert contents(data / "db-1") == before


@pytest.mark.parametrize(
    "names", [("db-0", "db-1", "db-2", "db-3"), ("db-0", "db-1", "db-9")], ids="/".join
)
def test_directory_of_another_cluster(data: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    """A node refuses another cluster's data with its nodes' names, and changes nothing."""
    before = contents(data / "db-0")
    error = refusal(node(tmp_path, data / "db-0", "db-0", free_ports(4), names))
    assert "was made for the nodes db-0, db-1, db-2, not for " + ", ".join(names) in error
    assert contents(data / "db-0") == before


def test_directory_in_use(cluster: Cluster, tmp_path: Path) -> None:
    """A second node refuses a directory in use. The first node continues."""
    directory = cluster.data / "db-1"
    pids = cluster.pids()
    error = refusal(node(tmp_path, directory, "db-1", free_ports(3), NAMES))
    assert error == f"db-1: {directory} is in use by another running node"
    assert cluster.pids() == pids
    user = {"id": "in-use", "name": "A", "email": "a@b.co", "group": 1}
    assert cluster.request("POST", "/api/users/", user)[0] == 201


def test_directory_that_is_a_file(tmp_path: Path) -> None:
    """A node refuses a data directory that is a file, and does not change the file."""
    path = tmp_path / "file"
    path.write_text("unchanged")
    error = refusal(node(tmp_path, path, "db-0", free_ports(3), NAMES))
    assert str(path) in error
    assert path.read_text() == "unchanged"


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


def truncate_log(rocks: Path) -> None:
    """Truncate the log with the users to half of its length."""
    longest = max(rocks.glob("*.log"), key=lambda path: path.stat().st_size)
    os.truncate(longest, longest.stat().st_size // 2)


def damage_log(rocks: Path) -> None:
    longest = max(rocks.glob("*.log"), key=lambda path: path.stat().st_size)
    raw = bytearray(longest.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    longest.write_bytes(raw)


def tables(rocks: Path) -> list[Path]:
    """Return the tables of a store, after a start that has turned its log into tables."""
    RocksStore(rocks.parent, Fsync.ALWAYS).close()
    found = list(rocks.glob("*.sst"))
    assert found
    return found


def damage_tables(rocks: Path) -> None:
    for table in tables(rocks):
        raw = bytearray(table.read_bytes())
        raw[-60:] = bytes(60)
        table.write_bytes(raw)


def truncate_tables(rocks: Path) -> None:
    for table in tables(rocks):
        os.truncate(table, table.stat().st_size // 2)


def remove_tables(rocks: Path) -> None:
    for table in tables(rocks):
        table.unlink()


def remove_everything(rocks: Path) -> None:
    shutil.rmtree(rocks)


def overwrite_everything(rocks: Path) -> None:
    for path in rocks.iterdir():
        if path.is_file():
            path.write_bytes(b"garbage")


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (damage_current, "db-2"),
        (remove_current, "db-2"),
        (damage_manifest, "db-2"),
        (truncate_log, "db-2"),
        (damage_log, "db-2"),
        (damage_tables, "db-1"),
        (truncate_tables, "db-1"),
        (remove_tables, "db-1"),
        (remove_everything, "db-0"),
        (overwrite_everything, "db-0"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_damaged_store(
    data: Path, tmp_path: Path, damage: Callable[[Path], None], name: str
) -> None:
    """A node with a damaged or truncated store refuses to start. Its error has the remedy."""
    directory = data / name
    damage(directory / "rocks")
    # A node starts despite damaged tables. The exception is the table with its identity.
    error = refusal(node(tmp_path, directory, name, free_ports(3), NAMES))
    assert error.startswith(f"{name}: ")
    assert str(directory) in error
    assert "start this node with an empty directory" in error


def test_port_in_use(data: Path, tmp_path: Path) -> None:
    """A node refuses a port in use with its number. It starts when the port is free."""
    port = free_ports(3)
    with socket.create_server(("127.0.0.1", port)):
        error = refusal(node(tmp_path, data / "db-0", "db-0", port, NAMES))
    assert f"db-0: 127.0.0.1:{port} is already in use. The node has changed no record;" in error
    with node(tmp_path, data / "db-0", "db-0", port, NAMES) as process:
        assert process.says("listens on")


def test_port_of_a_gateway_in_use(tmp_path: Path) -> None:
    """A gateway refuses a port in use with its number."""
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


def test_stored_data_is_complete(data: Path, tmp_path: Path) -> None:
    """A cluster that starts with the undamaged data has every user."""
    cluster = Cluster(tmp_path)
    assert cluster.data == data
    with cluster:
        assert cluster.request("GET", "/api/users/count") == (200, {"count": USERS})
        status, users = cluster.request("GET", "/api/users/?limit=1000")
        assert status == 200
        assert len(json.loads(json.dumps(users))) == USERS
