"""A node that is configured with another's data directory refuses it and changes nothing."""

import asyncio
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ddb.node.membership.directory_owner import claim, claimed
from ddb.node.membership.identity import ForeignData, Identity, Stage, keep, mint, recall
from ddb.node.storage.rocksdb import RocksStore
from ddb.settings import Fsync
from tests.cluster import ROOT, environment, free_ports
from tests.node.test_rocks import snapshot

NAMES = ("a", "b", "c")


def made(path: Path) -> Identity:
    """Make the directory of node `a` of three."""
    identity = mint("a", NAMES, random.Random(1))
    store = RocksStore(path, Fsync.ALWAYS)
    asyncio.run(keep(store, identity))
    store.close()
    claim(path, identity)
    return identity


def start(
    path: Path, name: str, names: tuple[str, ...] = NAMES
) -> subprocess.CompletedProcess[str]:
    """Run a node process on `path` until it refuses."""
    port = free_ports(len(names))
    members = ",".join(f"{each}=127.0.0.1:{port + at}" for at, each in enumerate(names))
    return subprocess.run(
        [sys.executable, "-m", "ddb", "node"],
        env=environment(DDB_NAME=name, DDB_NODES=members, DDB_DATA=str(path), DDB_HOST="127.0.0.1"),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "names", "reason"),
    [
        ("b", NAMES, "b: the data directory belongs to a, not to b"),
        ("a", ("a", "b", "d"), "was made for the nodes a, b, c, not for a, b, d"),
        ("a", (*NAMES, "d"), "the set of nodes cannot be changed by configuration"),
    ],
)
def test_foreign_directory_is_refused_and_unchanged(
    tmp_path: Path, name: str, names: tuple[str, ...], reason: str
) -> None:
    """A node on another node's directory exits with an error and changes no byte."""
    made(tmp_path)
    before = snapshot(tmp_path)
    ended = start(tmp_path, name, names)
    assert ended.returncode == 1
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr
    assert snapshot(tmp_path) == before


def test_directory_in_use_is_refused_and_unchanged(tmp_path: Path) -> None:
    """A node on the directory of a running node exits with an error and changes no byte."""
    made(tmp_path)
    store = RocksStore(tmp_path, Fsync.ALWAYS)
    before = snapshot(tmp_path)
    ended = start(tmp_path, "a")
    assert (ended.returncode, "is in use by another running node" in ended.stderr) == (1, True)
    after = snapshot(tmp_path)
    # The running store's own background threads append to this file at any time.
    logged = (after.pop("rocks/LOG")[0], before.pop("rocks/LOG")[0])
    assert logged[0].startswith(logged[1])
    assert after == before
    store.close()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"\x00\xff", b'{"name":1,"names":[]}', b'{"name":"\xff"}']
)
def test_unreadable_owner_is_refused(tmp_path: Path, content: bytes) -> None:
    """A node refuses a directory whose owner file is unreadable."""
    made(tmp_path)
    (tmp_path / "owner.json").write_bytes(content)
    with pytest.raises(ForeignData, match="The owner of this data is uncertain"):
        claimed(tmp_path, "a", NAMES)


def test_lost_identity_is_refused(tmp_path: Path) -> None:
    """A node refuses its own directory when the store in it is empty."""
    made(tmp_path)
    shutil.rmtree(tmp_path / "rocks")
    (tmp_path / "mark.json").unlink()
    ended = start(tmp_path, "a")
    assert ended.returncode == 1
    assert "has lost the node's identity" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_damaged_store_is_refused_by_the_process(tmp_path: Path) -> None:
    """A node with a damaged store exits with an error that names the remedy."""
    made(tmp_path)
    (tmp_path / "rocks" / "CURRENT").write_bytes(b"")
    ended = start(tmp_path, "a")
    assert ended.returncode == 1
    assert "start this node with an empty directory" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_own_directory_is_recognised(tmp_path: Path) -> None:
    """A directory has no owner until a node claims it."""
    assert not claimed(tmp_path / "new", "a", NAMES)
    assert not (tmp_path / "new").exists()
    identity = made(tmp_path)
    assert claimed(tmp_path, "a", NAMES)
    store = RocksStore(tmp_path, Fsync.ALWAYS)
    assert recall(store, "a", NAMES) == identity
    for name, names in (("b", NAMES), ("a", ("a", "b", "d"))):
        with pytest.raises(ForeignData):
            recall(store, name, names)
    store.close()


def test_new_disk_has_no_identity(tmp_path: Path) -> None:
    """An empty store has no identity; a minted identity is blank and has a node id of its own."""
    store = RocksStore(tmp_path, Fsync.ALWAYS)
    assert recall(store, "a", NAMES) is None
    store.close()
    rng = random.Random(2)
    minted = [mint("a", NAMES, rng) for _ in range(100)]
    assert len({identity.node_id for identity in minted}) == 100
    assert all(0 < identity.node_id < 2**32 for identity in minted)
    assert {identity.stage for identity in minted} == {Stage.BLANK}
