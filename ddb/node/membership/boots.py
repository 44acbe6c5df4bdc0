"""Boots: each start of a node uses a number once, and its peers remember that number.

A data directory that is put back as it was some time ago brings back an old boot number, an old
ceiling or a retired node id. Every copy in it is as old, and so are its promises: it must not vote.
The node itself cannot see that, since the image restored everything that it knows. Its peers can.
"""

import asyncio
import random
from collections.abc import Collection
from enum import Enum

import msgspec

from ddb.node.replica.ballots import CEILING_KEY
from ddb.node.storage.store import Family, Store
from ddb.record.hybrid_clock import millisecond_of
from ddb.wire.messages import Boot

BOOT = b"boot"
PEERS = b"peers"
KEEP_EVERY_MS = 500
"""Milliseconds of a peer's counter between writes of how far it has come.

Too low: writes for nothing. Too high: an image that is older than half a second passes where this
node restarts in between.
"""
MOST_RETIRED = 64
"""Earlier node ids of one peer that are remembered: one for each lost or outdated disk."""
NONCE_BITS = 62


class Finding(Enum):
    """Why a peer's disk is of an earlier time than what this node remembers of it."""

    RETIRED_ID = "its node id was replaced by a newer one"
    EARLIER_BOOT = "it has started more often than this disk counts"
    USED_BOOT = "its disk has already used this boot number for another start"
    LOWER_CEILING = "its counters have come further than this disk reserves"


class Standing(msgspec.Struct, frozen=True):
    """The newest that is known of one peer.

    `reached`: a counter that its durable ceiling covered. `retired`: its earlier node ids.
    """

    node_id: int
    number: int
    nonce: int
    reached: int = 0
    retired: tuple[int, ...] = ()


def outdated(by: str, name: str, finding: Finding) -> str:
    """What to tell the operator of a disk that `by` has found to be older than it remembers."""
    return (
        f"the data directory of {name} is of an earlier time: {by} remembers that {finding.value}."
        f" Every copy in it may be stale, so {name} has no vote with it"
    )


async def begin_boot(store: Store, node_id: int, rng: random.Random) -> Boot:
    """Use up the next boot number of this disk, durably. Raises `StoreFailed`."""
    number = int.from_bytes(store.get(Family.META, BOOT) or b"", "big") + 1
    await store.commit([(Family.META, BOOT, number.to_bytes(8, "big"))])
    ceiling = int.from_bytes(store.get(Family.META, CEILING_KEY) or b"", "big")
    return Boot(node_id, number, rng.getrandbits(NONCE_BITS), ceiling)


def find(known: Standing | None, boot: Boot) -> Finding | None:
    """What proves that the disk behind `boot` is older than what is `known` of its node."""
    if known is None:
        return None
    if boot.node_id != known.node_id:
        return Finding.RETIRED_ID if boot.node_id in known.retired else None
    if boot.number < known.number:
        return Finding.EARLIER_BOOT
    if boot.number == known.number:
        # The same start as before: its ceiling of then is no news.
        return None if boot.nonce == known.nonce else Finding.USED_BOOT
    return Finding.LOWER_CEILING if boot.ceiling < known.reached else None


def succeed(known: Standing | None, boot: Boot) -> Standing:
    """What is known of a peer after `boot`, which `find` has nothing against."""
    if known is None:
        return Standing(boot.node_id, boot.number, boot.nonce)
    if boot.node_id == known.node_id:
        return Standing(boot.node_id, boot.number, boot.nonce, known.reached, known.retired)
    # What the lost disk had reached is not held against the new one.
    retired = (*known.retired, known.node_id)[-MOST_RETIRED:]
    return Standing(boot.node_id, boot.number, boot.nonce, 0, retired)


class Peers:
    """What one node remembers of the starts of the others, on its disk."""

    def __init__(self, names: Collection[str], store: Store) -> None:
        self._names = names
        self._store = store
        found = store.get(Family.META, PEERS)
        self._known: dict[str, Standing] = (
            msgspec.msgpack.decode(found, type=dict[str, Standing]) if found else {}
        )
        self._greeted: dict[str, int] = {}

    def judge(self, name: str, boot: Boot) -> Finding | None:
        """What speaks against this start of a peer."""
        return find(self._known.get(name), boot)

    def remember(self, name: str, boot: Boot) -> asyncio.Future[None] | None:
        """Remember a start, against which `judge` has nothing; what to wait for, if anything."""
        known = self._known.get(name)
        now = succeed(known, boot)
        if now != known and name in self._names:
            self._known[name] = now
            return self._keep()
        return None

    def greeted(self, name: str, boot: Boot) -> None:
        """A peer has introduced itself on a new connection."""
        self._greeted[name] = boot.node_id

    def proposes(self, name: str, node_id: int) -> bool:
        """Whether a peer, by its latest Hello, issues ballots under `node_id`.

        A proposal under an earlier id was sent before a disk was lost. The refill of the new disk
        cannot cover a ballot that no other node had seen by then.
        """
        return self._greeted.get(name) == node_id

    def reached(self, node_id: int, counter: int) -> None:
        """The durable ceiling of a peer covers `counter`."""
        for name, known in self._known.items():
            if known.node_id == node_id and (
                millisecond_of(counter) - millisecond_of(known.reached) >= KEEP_EVERY_MS
            ):
                self._known[name] = msgspec.structs.replace(known, reached=counter)
                # Nobody waits for it: a notice that is lost is repeated by the next one.
                self._keep()
                return

    def _keep(self) -> asyncio.Future[None]:
        return self._store.commit([(Family.META, PEERS, msgspec.msgpack.encode(self._known))])

    def __repr__(self) -> str:
        return f"<Peers {', '.join(f'{n} boot {k.number}' for n, k in self._known.items())}>"
