"""Run inside a container on a small disk: writes to a store until its disk is full, and after."""

import asyncio
import os
import random
import sys
from pathlib import Path

from ddb.node import rocks_open
from ddb.node.rocks import RocksStore
from ddb.node.store import Family, StoreFailed
from ddb.settings import Fsync

DATA = Path("/data/store")
BALLAST = Path("/data/ballast")
BYTES = 4096
RESERVED = 14 << 20
"""Bytes that are free again when the store is opened, which then writes its log as tables."""
MEMTABLE = 64 << 20
"""More than the disk holds: it is the log that meets its end. Where a table does, RocksDB holds
writes back until there is room."""


async def _write_until_failure(store: RocksStore) -> tuple[int, str]:
    """How many writes were said to be durable before one failed, and why that one did."""
    told: list[StoreFailed] = []
    store.when_broken(told.append)
    number = 0
    while True:
        try:
            await store.commit([(Family.RECORDS, _key(number), _value(number))])
        except StoreFailed as failed:
            assert told, "the node was not told"
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
    """Nothing that compression could make small: the disk would never be full."""
    return random.Random(number).randbytes(BYTES)


def fill() -> str:
    """Write until a write fails; how many were durable before, and why it failed."""
    rocks_open.WRITE_BUFFER, rocks_open.MOST_LOG = MEMTABLE, 2 * MEMTABLE
    BALLAST.write_bytes(bytes(RESERVED))
    store = RocksStore(DATA, Fsync.ALWAYS)
    count, reason = asyncio.run(_write_until_failure(store))
    BALLAST.unlink()
    assert asyncio.run(_refuses(store)), "a store that had failed a write took another one"
    store.close()
    return f"{count} {reason}"


def check(count: int) -> None:
    """Look for what was durable in the store opened again."""
    store = RocksStore(DATA, Fsync.ALWAYS)
    lost = [
        number
        for number in range(count)
        if store.get(Family.RECORDS, _key(number)) != _value(number)
    ]
    store.close()
    assert not lost, f"{len(lost)} of {count} writes are lost"


def main() -> None:
    """Fill in one process, as a node would until it ends, and check in another."""
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, fill().encode())
        sys.exit()
    assert os.wait()[1] == 0, "the process did not end well"
    count, _, reason = os.read(reading, 4096).decode().partition(" ")
    check(int(count))
    print(f"{count} writes were durable before: {reason}; every one of them is there")


main()
