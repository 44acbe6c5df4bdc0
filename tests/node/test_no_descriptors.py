"""A store whose process has no free file descriptor; the disk has not failed."""

import asyncio
import contextlib
import random
import shutil
from pathlib import Path

import pytest

from ddb.node.storage.durable_mark import read
from ddb.node.storage.rocksdb import MARK_INTERVAL_S, RocksStore
from ddb.node.storage.rocksdb_open import WRITE_BUFFER_BYTES
from ddb.node.storage.store import Family, NoDescriptors, StoreFailed
from ddb.runtime.descriptors import exhausted
from ddb.settings import Fsync
from tests.descriptors import at_most, none_left

FEW = 128
ROUNDS = 3
MEGABYTE = random.Random(1).randbytes(1 << 20)


def test_mark_stays_behind_and_the_store_goes_on(tmp_path: Path) -> None:
    """A mark that cannot be measured for lack of descriptors fails no write, now or later."""

    async def scenario() -> None:
        store = RocksStore(tmp_path, Fsync.ALWAYS)
        with none_left():
            await store.commit([(Family.RECORDS, b"a", b"1")])
            await asyncio.sleep(MARK_INTERVAL_S + 0.5)
        await store.commit([(Family.RECORDS, b"b", b"2")])
        await asyncio.sleep(MARK_INTERVAL_S + 0.5)
        found = read(tmp_path)
        assert found is not None
        assert found.sequence == 2
        assert store.get(Family.RECORDS, b"b") == b"2"
        store.close()

    asyncio.run(scenario())


def test_read_without_a_descriptor_fails_alone(tmp_path: Path) -> None:
    """A get or scan that cannot open its table fails, and succeeds once there are descriptors."""
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
                with contextlib.suppress(NoDescriptors):
                    store.scan(family, b"", b"9", ROUNDS)
        assert failed > 0
        for family in Family:
            for number in range(ROUNDS):
                assert store.get(family, b"%d" % number) == b"value"
        await store.commit([(Family.RECORDS, b"a", b"1")])
        store.close()

    asyncio.run(scenario())


def test_write_without_a_descriptor_is_not_called_a_failed_disk(tmp_path: Path) -> None:
    """Writes fail where RocksDB cannot create its next log, and the failure names the cause."""

    async def scenario() -> None:
        store = RocksStore(tmp_path / "a", Fsync.ALWAYS)
        with none_left(), pytest.raises(StoreFailed) as failed:
            await outgrow_log(store)
        store.close()
        assert exhausted(failed.value)
        # A process with descriptors opens the store with all acknowledged writes. It opens a copy,
        # since RocksDB opens a failed store only once per process.
        again = RocksStore(shutil.copytree(tmp_path / "a", tmp_path / "b"), Fsync.ALWAYS)
        assert again.get(Family.RECORDS, b"0") == MEGABYTE
        again.close()

    asyncio.run(scenario())


async def outgrow_log(store: RocksStore) -> None:
    """Write until RocksDB needs another log."""
    for number in range(4 * WRITE_BUFFER_BYTES // len(MEGABYTE)):
        await store.commit([(Family.RECORDS, b"%d" % number, MEGABYTE)])


async def filled(path: Path, number: int) -> None:
    """Write to every family; the next opening moves that into tables."""
    store = RocksStore(path, Fsync.ALWAYS)
    await store.commit([(family, b"%d" % number, b"value") for family in Family])
    store.close()
