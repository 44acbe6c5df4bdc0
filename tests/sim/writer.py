"""A child process that writes batches into a real store until it is killed.

`python -m tests.sim.writer DIRECTORY SEED BATCHES` prints the number of durable batches each time
that one more is durable.
"""

import asyncio
import random
import sys
from pathlib import Path

from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import Family, Put
from ddb.settings import Fsync

_FAMILIES = (Family.RECORDS, Family.HINTS, Family.META)


def batches(seed: int, count: int) -> list[tuple[Put, ...]]:
    """Draw the batches of a seed: puts and deletes of few keys, some of them large."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        puts: list[Put] = [(Family.DIGESTS, b"last", number.to_bytes(4, "big"))]
        for _ in range(rng.randint(1, 4)):
            key = b"k%d" % rng.randrange(6)
            value = None if rng.random() < 0.3 else rng.randbytes(rng.choice((1, 40, 5000)))
            puts.append((rng.choice(_FAMILIES), key, value))
        made.append(tuple(puts))
    return made


async def write(store: RocksStore, seed: int, count: int) -> None:
    """Commit all batches of a seed, several in flight."""
    rng = random.Random(seed + 1)
    durable = 0

    def count_durable(_: asyncio.Future[None]) -> None:
        nonlocal durable
        durable += 1
        print(durable, flush=True)

    last: asyncio.Future[None] | None = None
    for batch in batches(seed, count):
        # One future serves all batches of a flush. Each batch adds a callback, so each counts.
        last = store.commit(batch)
        last.add_done_callback(count_durable)
        if rng.random() < 0.6:
            await asyncio.sleep(rng.choice((0.0, 0.0, 0.001)))
    if last is not None:
        await last


if __name__ == "__main__":
    asyncio.run(write(RocksStore(Path(sys.argv[1]), Fsync.ALWAYS), *map(int, sys.argv[2:4])))
