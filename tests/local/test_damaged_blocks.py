"""Unreadable blocks on nodes' disks: the cluster still serves every record."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import Cluster, wait_for
from tests.http.client import Client
from tests.http.retries import RETRIES

USERS = 400
REPAIR_TIMEOUT_S = 40
"""Too low: fails on a busy machine. Too high: a lost repair is noticed late."""
UNAVAILABLE = 503
MAX_LATE_SHARE = 0.02
"""Share of reads that may get a 503 once: each has its deadline, and the machine is busy."""


def _user(number: int) -> dict[str, object]:
    """Return a user that does not compress, so that tables have several blocks."""
    name = random.Random(number).randbytes(100).hex()
    return {"id": f"u{number}", "name": name, "email": "a@b.co", "group": number}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a cluster with all records in tables, none in logs."""
    with Cluster(tmp_path_factory.mktemp("whole")) as cluster:
        with Client(cluster.url) as client:
            for number in range(USERS):
                assert client.send("POST", "/api/users/", _user(number)).status == 201
        # The next start moves the records from logs into tables.
        cluster.stop()
        cluster.start()
    return cluster.data


def _table(data: Path, node: str, family: str) -> Path:
    """Return the largest table of a column family; the table's properties name the family."""
    named = (b"\x04%cname" % len(family)) + family.encode()
    tables = [path for path in (data / node).glob("rocks/*.sst") if named in path.read_bytes()]
    return max(tables, key=lambda path: path.stat().st_size)


def _flip(path: Path, *places: float) -> None:
    content = bytearray(path.read_bytes())
    for place in places:
        content[int(len(content) * place)] ^= 0x10
    path.write_bytes(content)


def two_nodes(data: Path) -> None:
    # The first half of a table has data blocks; its index and properties come later.
    _flip(_table(data, "db-1", "records"), 0.1)
    _flip(_table(data, "db-2", "records"), 0.4)


def three_blocks(data: Path) -> None:
    _flip(_table(data, "db-1", "records"), 0.05, 0.2, 0.4)


def cut_table(data: Path) -> None:
    table = _table(data, "db-1", "records")
    os.truncate(table, table.stat().st_size // 2)


def missing_table(data: Path) -> None:
    _table(data, "db-1", "records").unlink()


def digests(data: Path) -> None:
    _flip(_table(data, "db-1", "tallies"), 0.01)


def damage_and_wipe(data: Path) -> None:
    table = _table(data, "db-2", "records")
    _flip(table, 0.3)
    shutil.rmtree(data / "db-1")


def _served(cluster: Cluster) -> None:
    """Read every record, and a late one twice; few may be late."""
    late = 0
    with Client(cluster.url) as client:
        for number in range(USERS):
            answer = client.send("GET", f"/api/users/u{number}")
            if answer.status == UNAVAILABLE:
                late += 1
                answer = client.send("GET", f"/api/users/u{number}")
            assert answer.pair == (200, _user(number))
    RETRIES.add(USERS, late)
    assert late <= MAX_LATE_SHARE * USERS


def _whole(cluster: Cluster) -> bool:
    nodes = cluster.status()["nodes"]
    assert isinstance(nodes, list)
    return all(
        node["state"] == "up" and node["phase"] == "ready" and node["damaged_partitions"] == 0
        for node in nodes
    )


@pytest.mark.parametrize(
    "damage",
    [two_nodes, three_blocks, cut_table, missing_table, digests],
    ids=lambda damage: damage.__name__,
)
def test_every_record_is_served_and_every_copy_is_rebuilt(
    tables: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Damaged blocks cost no answer and no process; nodes rebuild the copies from each other."""
    data = Path(shutil.copytree(tables, tmp_path / "data", ignore=shutil.ignore_patterns("*.sock")))
    damage(data)
    cluster = Cluster(tmp_path)
    with cluster:
        pids = cluster.pids()
        _served(cluster)
        assert wait_for(lambda: _whole(cluster), REPAIR_TIMEOUT_S), cluster.logs()
        assert cluster.request("GET", "/api/users/count") == (200, {"count": USERS})
        _served(cluster)
        assert cluster.pids() == pids
        if damage is not digests:
            assert "rebuilt its damaged data" in (data / "db-1.log").read_text()
        # Without db-0 the rebuilt copies must serve.
        cluster.do("stop", "db-0")
        _served(cluster)


def test_rebuild_survives_a_bad_block_of_its_source(tables: Path, tmp_path: Path) -> None:
    """A node with an empty directory takes the other copy where its source has a bad block."""
    data = Path(shutil.copytree(tables, tmp_path / "data", ignore=shutil.ignore_patterns("*.sock")))
    damage_and_wipe(data)
    cluster = Cluster(tmp_path)
    with cluster:
        assert wait_for(lambda: _whole(cluster), REPAIR_TIMEOUT_S), cluster.logs()
        with Client(cluster.url) as client:
            statuses = [client.send("GET", f"/api/users/u{n}").status for n in range(USERS)]
        # Records with copies only on the lost disk and in the bad block are lost.
        assert set(statuses) <= {200, 404}
        assert statuses.count(404) < USERS // 10
        assert "could not read" in (data / "db-1.log").read_text()
