import random
from pathlib import Path

import uvloop

from bench.disk import compact_cluster, logical, occupied
from bench.users import Generator
from ddb.node.rocks import RocksStore
from ddb.node.store import Family
from ddb.settings import Fsync


def test_every_file_counts(tmp_path: Path) -> None:
    """What a directory occupies is what all its files do, at any depth."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "one").write_bytes(b"x" * 5000)
    (tmp_path / "deep" / "er" / "two").write_bytes(b"x" * 9000)
    assert 14_000 <= occupied(tmp_path) <= 14_000 + 2 * 4096


def test_logical_bytes_are_counted_once() -> None:
    """The logical bytes are those of the users' JSON."""
    users = Generator().take(3)
    assert logical(users) == sum(len(user.body()) for user in users)


async def fill(path: Path, session: int) -> None:
    """Write a thousand keys in one session of a node."""
    store = RocksStore(path, Fsync.OS)
    rng = random.Random(session)
    rows = [b"%d " % session + rng.randbytes(1000) for _ in range(1000)]
    await store.commit([(Family.RECORDS, b"%d" % key, row) for key, row in enumerate(rows)])
    store.close()


def test_compaction_leaves_what_the_node_reads(tmp_path: Path) -> None:
    """A compacted store holds each key once, and the node that opens it next reads it."""
    node = tmp_path / "db-0"
    for session in range(4):
        uvloop.run(fill(node, session))
    before = occupied(tmp_path)
    compact_cluster(tmp_path)
    assert occupied(tmp_path) < before / 2
    store = RocksStore(node, Fsync.OS)
    row = store.get(Family.RECORDS, b"999")
    assert row is not None
    assert row.startswith(b"3 ")
    store.close()
