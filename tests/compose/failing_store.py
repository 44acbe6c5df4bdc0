"""Fill a small disk through a store, then check it. Runs inside a container."""

import asyncio
import os
import random
import sys
from pathlib import Path

from ddb.node.storage import rocksdb_open as rocks_open
from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import Family, StoreFailed
from ddb.settings import Fsync

DATA = Path("/data/store")
BALLAST = Path("/data/ballast")
VALUE_BYTES = 4096
RESERVED = 14 << 20
"""Bytes that become free before the store opens again.

Lower: the store cannot open, because RocksDB turns its log into tables then.
"""
MEMTABLE = 64 << 20
"""Bytes of the memtable, more than the disk has, so that the log fills the disk.

Lower: a table fills the disk, and RocksDB delays writes until there is room.
"""


async def _write_until_failure(store: RocksStore) -> tuple[int, str]:
    """Return the number of durable writes and the first failure."""
    failures: list[StoreFailed] = []
    store.when_broken(failures.append)
    number = 0
    while True:
        try:
            await store.commit([(Family.RECORDS, _key(number), _value(number))])
        except StoreFailed as failed:
            assert failures, "the store did not report its failure to the node"
            return number, str(failed)
        number += 1


async def _refuses(store: RocksStore) -> bool:
    try:
        await store.commit([(Family.META, b"later", b"1")])
    except StoreFailed:
        return True
    return False


def _key(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _value(number: int) -> bytes:
    """Return random bytes. RocksDB would compress others, and the disk would not fill."""
    return random.Random(number).randbytes(VALUE_BYTES)


def fill() -> str:
    """Write until a write fails. Return the number of durable writes, and the reason.

    The disk is still full when the store closes.
    """
    rocks_open.WRITE_BUFFER_BYTES, rocks_open.MAX_LOG_BYTES = MEMTABLE, 2 * MEMTABLE
    BALLAST.write_bytes(bytes(RESERVED))
    store = RocksStore(DATA, Fsync.ALWAYS)
    count, reason = asyncio.run(_write_until_failure(store))
    assert asyncio.run(_refuses(store)), "the store accepted a write after a failed one"
    store.close()
    BALLAST.unlink()
    return f"{count} {reason}"


def check(count: int) -> None:
    """Open the store again and check every durable write."""
    store = RocksStore(DATA, Fsync.ALWAYS)
    lost = [
        number
        for number in range(count)
        if store.get(Family.RECORDS, _key(number)) != _value(number)
    ]
    store.close()
    assert not lost, f"{len(lost)} of {count} writes are lost"


def main() -> None:
    """Fill the disk in one process and check in another.

    The check has only the disk, like a node after a restart.
    """
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, fill().encode())
        sys.exit()
    assert os.wait()[1] == 0, "the filling process failed"
    count, _, reason = os.read(reading, 4096).decode().partition(" ")
    check(int(count))
    print(f"{count} writes were durable before the failure ({reason}); none is lost")


main()
