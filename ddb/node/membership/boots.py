"""Boot numbers: how peers detect a data directory that is older than the node's latest.

Each start of a node uses a boot number once, and its peers remember that number. A restored data
directory brings back an old boot number, an old ceiling or a retired node id. Its next starts use
numbers again, with other nonces. All its copies and promises are old, so it must not vote. The node
itself cannot detect this, because the directory restores all that it remembers. Its peers can.
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
"""Milliseconds of a peer's counter between writes of that counter to disk.

Too low: needless writes. Too high: a restart of this node loses the newer counters, so it may
accept a restored directory.
"""
MOST_RETIRED = 64
"""Earlier node ids that a node remembers of one peer: one for each lost or outdated disk.

Too low: a disk returns unnoticed after that many replacements. Too high: the row grows.
"""
MOST_NONCES = 64
"""Starts whose nonces a disk remembers, and its Hello carries.

Too low: a restored directory passes once it has started that many times without a Hello to a
knowing peer. Too high: each Hello grows by nine bytes per start.
"""
NONCE_BITS = 62
"""Random bits that tell two starts with the same boot number apart. Too low: they may be equal."""


class Finding(Enum):
    """The evidence that a peer's disk is older than this node remembers."""

    RETIRED_ID = "its node id was replaced by a newer one"
    EARLIER_BOOT = "it has started more often than this disk counts"
    USED_BOOT = "its disk has already used this boot number for another start"
    OTHER_START = "it has made a start that this disk does not remember"
    LOWER_CEILING = "its counters have come further than this disk reserves"


class BootRecord(msgspec.Struct, frozen=True):
    """The latest start of one peer."""

    node_id: int
    number: int
    nonce: int
    reached: int = 0
    """A counter that the peer's durable ceiling covered."""
    retired: tuple[int, ...] = ()
    """The peer's earlier node ids."""


class Starts(msgspec.Struct, frozen=True, array_like=True):
    """What a disk remembers of its own starts; `nonces` has the latest one first."""

    number: int
    nonces: tuple[int, ...]


def outdated(by: str, name: str, finding: Finding) -> str:
    """Return the error for the operator of `name`, whose disk the node `by` refuses."""
    return (
        f"the data directory of {name} is of an earlier time: {by} remembers that {finding.value}."
        f" Every copy in it may be stale, so {name} has no vote with it"
    )


async def begin_boot(store: Store, node_id: int, rng: random.Random) -> Boot:
    """Take the next boot number of this disk, durably. Raises `StoreFailed`."""
    found = store.get(Family.META, BOOT)
    earlier = msgspec.msgpack.decode(found, type=Starts) if found else Starts(0, ())
    nonces = (rng.getrandbits(NONCE_BITS), *earlier.nonces)[:MOST_NONCES]
    starts = Starts(earlier.number + 1, nonces)
    await store.commit([(Family.META, BOOT, msgspec.msgpack.encode(starts))])
    ceiling = int.from_bytes(store.get(Family.META, CEILING_KEY) or b"", "big")
    return Boot(node_id, starts.number, starts.nonces, ceiling)


def find(recorded: BootRecord | None, boot: Boot) -> Finding | None:
    """Return the evidence that the disk of `boot` is older than `recorded`, None without any."""
    if recorded is None:
        return None
    if boot.node_id != recorded.node_id:
        return Finding.RETIRED_ID if boot.node_id in recorded.retired else None
    if boot.number < recorded.number:
        return Finding.EARLIER_BOOT
    if boot.number == recorded.number:
        # The same start repeats its Hello, so its ceiling is older than its counters by now.
        return None if boot.nonces[0] == recorded.nonce else Finding.USED_BOOT
    since = boot.number - recorded.number
    if since < len(boot.nonces) and boot.nonces[since] != recorded.nonce:
        return Finding.OTHER_START
    return Finding.LOWER_CEILING if boot.ceiling < recorded.reached else None


def succeed(recorded: BootRecord | None, boot: Boot) -> BootRecord:
    """Return the record of a peer after `boot`, for which `find` returns None."""
    if recorded is None:
        return BootRecord(boot.node_id, boot.number, boot.nonces[0])
    if boot.node_id == recorded.node_id:
        return BootRecord(
            boot.node_id, boot.number, boot.nonces[0], recorded.reached, recorded.retired
        )
    # The ceiling of the lost disk does not bind the new one.
    retired = (*recorded.retired, recorded.node_id)[-MOST_RETIRED:]
    return BootRecord(boot.node_id, boot.number, boot.nonces[0], 0, retired)


class Peers:
    """The starts of all peers that one node remembers on its disk."""

    def __init__(self, names: Collection[str], store: Store) -> None:
        self._names = names
        self._store = store
        found = store.get(Family.META, PEERS)
        self._records: dict[str, BootRecord] = (
            msgspec.msgpack.decode(found, type=dict[str, BootRecord]) if found else {}
        )
        self._hello_ids: dict[str, int] = {}
        """Node id in the latest Hello of each peer, since this node started."""

    def check(self, name: str, boot: Boot) -> Finding | None:
        """Return the evidence against this start of a peer, None without any."""
        return find(self._records.get(name), boot)

    def replaces(self, name: str, boot: Boot) -> bool:
        """Whether this start of a peer has another disk than the one that this node remembers."""
        recorded = self._records.get(name)
        return recorded is not None and recorded.node_id != boot.node_id

    def remember(self, name: str, boot: Boot) -> asyncio.Future[None] | None:
        """Remember a start for which `check` returns None.

        Returns the write to wait for, or None where nothing changes.
        """
        recorded = self._records.get(name)
        now = succeed(recorded, boot)
        if now != recorded and name in self._names:
            self._records[name] = now
            return self._keep()
        return None

    def note_hello(self, name: str, boot: Boot) -> None:
        """Note the node id in a peer's Hello on a new connection."""
        self._hello_ids[name] = boot.node_id

    def may_propose(self, name: str, node_id: int) -> bool:
        """Whether the latest Hello of a peer has the node id `node_id`.

        A proposal under an earlier id is from before the peer lost a disk. The refill of the new
        disk cannot cover a ballot that had reached no other node by then.
        """
        return self._hello_ids.get(name) == node_id

    def note_ceiling(self, node_id: int, counter: int) -> None:
        """Note that the durable ceiling of a peer covers `counter`."""
        for name, recorded in self._records.items():
            if recorded.node_id == node_id and (
                millisecond_of(counter) - millisecond_of(recorded.reached) >= KEEP_EVERY_MS
            ):
                self._records[name] = msgspec.structs.replace(recorded, reached=counter)
                # No caller waits for this write: the next notice repeats a lost one.
                self._keep()
                return

    def _keep(self) -> asyncio.Future[None]:
        return self._store.commit([(Family.META, PEERS, msgspec.msgpack.encode(self._records))])

    def __repr__(self) -> str:
        return f"<Peers {', '.join(f'{n} boot {k.number}' for n, k in self._records.items())}>"
