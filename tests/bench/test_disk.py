import random
from pathlib import Path

import uvloop
from rocksdict import Options, Rdict

from bench.disk import compact_cluster, logical, occupied
from bench.users import Generator
from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import Family
from ddb.settings import Fsync


def test_every_file_counts(tmp_path: Path) -> None:
    """A directory occupies the blocks of all its files, at any depth."""
    (tmp_path / "folder" / "folder").mkdir(parents=True)
    (tmp_path / "one").write_bytes(b"x" * 5000)
    (tmp_path / "folder" / "folder" / "two").write_bytes(b"x" * 9000)
    assert 14_000 <= occupied(tmp_path) <= 14_000 + 2 * 4096


def test_logical_bytes_are_counted_once() -> None:
    """The logical bytes are the lengths of the users' JSON."""
    users = Generator().take(3)
    assert logical(users) == sum(len(user.body()) for user in users)


def test_compaction_leaves_the_last_value_of_each_key(tmp_path: Path) -> None:
    """A compacted store has each key once, with its last value."""
    rocks, rng = tmp_path / "db-0" / "rocks", random.Random(1)
    rocks.parent.mkdir()
    options = Options(raw_mode=True)
    options.set_disable_auto_compactions(True)
    database = Rdict(str(rocks), options)
    for number in range(4):
        for key in range(1000):
            database.put(b"%d" % key, b"%d " % number + rng.randbytes(1000))
        database.flush()
    database.close()
    before = occupied(tmp_path)
    compact_cluster(tmp_path)
    assert occupied(tmp_path) < before / 2
    row = Rdict(str(rocks)).get(b"999")
    assert isinstance(row, bytes)
    assert row.startswith(b"3 ")


async def fill(path: Path) -> None:
    """Write some keys as a node does."""
    store = RocksStore(path, Fsync.OS)
    await store.commit([(Family.RECORDS, b"%d" % key, b"%d" % key * 100) for key in range(1000)])
    store.close()


def test_a_node_reads_its_compacted_store(tmp_path: Path) -> None:
    """A node opens its compacted store and reads its rows."""
    node = tmp_path / "db-0"
    uvloop.run(fill(node))
    compact_cluster(tmp_path)
    store = RocksStore(node, Fsync.OS)
    assert store.get(Family.RECORDS, b"999") == b"999" * 100
    store.close()
