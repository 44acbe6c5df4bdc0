"""Tallies: what lets COUNT be exact without reading a record.

For each partition a node keeps how many of its home copies live, and the exclusive-or of a digest
of every copy's (key, newest dot). Since a newest dot names one state, equal digests on both homes
mean equal sets of states. A tally changes in the same batch as the copy it counts.
"""

import struct
from collections.abc import Iterator
from hashlib import blake2b

from ddb.node.store import Family, Put, Store
from ddb.record.state import LIVE, NEWEST
from ddb.ring.ring import END, PARTITIONS

ROW = struct.Struct(">QQ")
_SCAN = 2000


class TallyBook:
    """The tallies of one node's home copies."""

    def __init__(self, store: Store) -> None:
        """Reads what is stored."""
        self._live = [0] * PARTITIONS
        self._digest = [0] * PARTITIONS
        for number in range(PARTITIONS):
            row = store.get(Family.TALLIES, number.to_bytes(2, "big"))
            if row:
                self._live[number], self._digest[number] = ROW.unpack(row)

    @property
    def live(self) -> int:
        """Live home copies."""
        return sum(self._live)

    def changed(self, key: bytes, before: bytes, after: bytes) -> Put:
        """The put that must go into the same batch as a home copy's change.

        It counts here once it is `taken`: of a batch that the store refuses nothing may.
        """
        number = key[0] << 8 | key[1]
        live, digest = self._live[number], self._digest[number] ^ _digest(key, after)
        live += after[0] & LIVE
        if before:
            live -= before[0] & LIVE
            digest ^= _digest(key, before)
        return (Family.TALLIES, key[:2], ROW.pack(live, digest))

    def taken(self, put: Put) -> None:
        """The store has taken a put of `changed`, the first one since."""
        _, key, row = put
        if row is not None:
            number = key[0] << 8 | key[1]
            self._live[number], self._digest[number] = ROW.unpack(row)

    def packed(self) -> bytes:
        """All partitions' rows, in order."""
        return b"".join(map(ROW.pack, self._live, self._digest))

    def __repr__(self) -> str:
        return f"<TallyBook {self.live} live>"


def walk(store: Store, family: Family, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Every pair of a family after `after`, in key order, a batch in memory at a time."""
    while rows := store.scan(family, after + b"\x00" if after else b"", END, _SCAN):
        yield from rows
        after = rows[-1][0]


def _digest(key: bytes, raw: bytes) -> int:
    item = key + raw[NEWEST]
    return int.from_bytes(blake2b(item, digest_size=8).digest(), "big")
