"""Retire an outdated disk: a new node id, then no rows, then a refill.

Each step is one durable write, so a crash between two of them repeats at most the next one.

    OUTDATED, new id    the rows stay until all other nodes vote and have no damage
    BLANK, `discards`   the next start deletes the rows before the node answers a peer
    BLANK               the node refills, like one with a new disk
"""

import random

import msgspec

from ddb.node.membership.identity import Identity, Stage, identity_put, keep, mint
from ddb.node.replica.damage import DAMAGE
from ddb.node.storage.store import Family, Store


async def outdate(store: Store, identity: Identity, rng: random.Random) -> None:
    """End the vote of this disk and give it a new node id. Raises `StoreFailed`."""
    fresh = mint(identity.name, identity.names, rng)
    await keep(store, msgspec.structs.replace(fresh, stage=Stage.OUTDATED))


async def discard(store: Store, identity: Identity) -> Identity:
    """Delete all rows and return the identity of the blank disk. Raises `StoreFailed`.

    A refill keeps the newer of two states. So no old row may remain: it may be the newer one and
    never have been decided. The families are replaced unread, since the disk may have damage.
    """
    for family in (Family.RECORDS, Family.HINTS, Family.DIGESTS):
        await store.rewrite(family, lambda _start, _limit: ([], None))
    blank = msgspec.structs.replace(identity, discards=False)
    # With the rows goes the damage among them, or no refill could pass its ranges.
    await store.commit([(Family.META, DAMAGE, None), identity_put(blank)])
    return blank
