"""A separate process that commits to a store until it is killed.

    python -m tests.node.committer DIRECTORY always|os [FILE_LIMIT]

Batch n writes the number n into three families. The process prints one line per acknowledged batch.
With a limit on the size of files it prints a line of JSON once the store has failed.
"""

import asyncio
import json
import random
import resource
import signal
import sys
from pathlib import Path

from ddb.node.storage import rocksdb as rocks
from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import Family, StoreFailed
from ddb.settings import Fsync

BATCHES = 200_000


def key_of(number: int) -> bytes:
    """Return the key of batch `number`."""
    return b"%08d" % number


def body_of(number: int) -> bytes:
    """Return the record of batch `number`: bytes that cannot be compressed."""
    return random.Random(number).randbytes(256)


async def commit(store: RocksStore, number: int) -> None:
    """Write batch `number` durably."""
    key = key_of(number)
    await store.commit(
        [
            (Family.RECORDS, key, body_of(number)),
            (Family.HINTS, key, key),
            (Family.DIGESTS, b"count", b"%d" % (number + 1)),
        ]
    )


async def main(store: RocksStore, limit: int) -> None:
    """Commit until killed, or until the store fails."""
    reports: list[str] = []
    store.when_broken(lambda failed: reports.append(str(failed)))
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for number in range(BATCHES):
        try:
            await commit(store, number)
        except StoreFailed as failed:
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
            later = []
            for again in range(3):
                try:
                    await commit(store, number + 1 + again)
                except StoreFailed as refusal:
                    later.append(str(refusal))
            print(
                json.dumps({"failed": str(failed), "later": later, "reports": reports}), flush=True
            )
            return
        print(number, flush=True)


if __name__ == "__main__":
    rocks.MARK_INTERVAL_S = 0.001
    opened = RocksStore(Path(sys.argv[1]), Fsync(sys.argv[2]))
    asyncio.run(main(opened, int(sys.argv[3]) if len(sys.argv) > 3 else 0))
    opened.close()
