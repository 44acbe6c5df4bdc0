"""A store whose process has no file descriptor left: not a failed disk."""

import asyncio
from pathlib import Path

from ddb.node.mark import read
from ddb.node.rocks import MARK_EVERY, RocksStore
from ddb.node.store import Family, NoDescriptors
from ddb.settings import Fsync
from tests.descriptors import at_most, none_left

FEW = 128
ROUNDS = 3


def test_mark_stays_behind_and_the_store_goes_on(tmp_path: Path) -> None:
    """A mark that cannot be measured for want of descriptors fails no write, then or later."""

    async def scenario() -> None:
        store = RocksStore(tmp_path, Fsync.ALWAYS)
        with none_left():
            await store.commit([(Family.RECORDS, b"a", b"1")])
            await asyncio.sleep(MARK_EVERY + 0.5)
        await store.commit([(Family.RECORDS, b"b", b"2")])
        await asyncio.sleep(MARK_EVERY + 0.5)
        found = read(tmp_path)
        assert found is not None
        assert found.sequence == 2
        assert store.get(Family.RECORDS, b"b") == b"2"
        store.close()

    asyncio.run(scenario())


def test_read_without_a_descriptor_fails_alone(tmp_path: Path) -> None:
    """A read that cannot open its table fails, and once there are descriptors it succeeds."""
    for number in range(ROUNDS):
        asyncio.run(filled(tmp_path, number))

    async def scenario() -> None:
        with at_most(FEW):
            store = RocksStore(tmp_path, Fsync.ALWAYS)
        failed = 0
        with none_left():
            for family in Family:
                for number in range(ROUNDS):
                    try:
                        store.get(family, b"%d" % number)
                    except NoDescriptors:
                        failed += 1
        assert failed > 0
        for family in Family:
            for number in range(ROUNDS):
                assert store.get(family, b"%d" % number) == b"value"
        await store.commit([(Family.RECORDS, b"a", b"1")])
        store.close()

    asyncio.run(scenario())


async def filled(path: Path, number: int) -> None:
    """Write to every family; the next opening moves that into tables."""
    store = RocksStore(path, Fsync.ALWAYS)
    await store.commit([(family, b"%d" % number, b"value") for family in Family])
    store.close()
