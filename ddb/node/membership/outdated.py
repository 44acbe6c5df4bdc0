"""What becomes of a disk that is of an earlier time: a new node id, then no rows, then a refill.

Each step is one durable write, so that a crash between two of them repeats at most the next one:

    OUTDATED, new id    the rows stay until all other nodes vote, since they may be needed by hand
    BLANK, `discards`   the rows go, before the node takes part in anything
    BLANK               the node is as one with a new disk, and is refilled
"""

import random

import msgspec

from ddb.node.membership.identity import Identity, Stage, keep, mint
from ddb.node.storage.store import Family, Store
from ddb.ring.ring import END

BATCH = 2_000
"""Rows deleted at once. Too low: many flushes. Too high: one batch blocks the store."""


async def outdate(store: Store, identity: Identity, rng: random.Random) -> None:
    """Take the vote of this disk for good, and its node id. Raises `StoreFailed`."""
    fresh = mint(identity.name, identity.names, rng)
    await keep(store, msgspec.structs.replace(fresh, stage=Stage.OUTDATED))


async def discard(store: Store, identity: Identity) -> Identity:
    """Delete all rows; the identity of the blank disk that is left. Raises `StoreFailed`.

    An old row must not meet the refill: the newer of both would stay, decided or not.
    """
    for family in (Family.RECORDS, Family.HINTS, Family.DIGESTS):
        while rows := store.scan(family, b"", END, BATCH):
            await store.commit([(family, key, None) for key, _ in rows])
    blank = msgspec.structs.replace(identity, discards=False)
    await keep(store, blank)
    return blank
