"""Tallies: what lets COUNT be exact without reading a record.

For each partition a node keeps how many of its home copies live, and the exclusive-or of a digest
of every copy's (key, newest dot). Since a newest dot names one state, equal digests on both homes
mean equal sets of states. A tally changes in the same batch as the copy it counts.
"""

import hashlib
import struct
from collections.abc import Iterator

from ddb.node.store import Family, Put, Store
from ddb.record.state import is_live, peek
from ddb.ring.ring import PARTITIONS

ROW = struct.Struct(">QQ")
END = b"\xff\xff\xff"
"""Above every key."""
_SCAN = 2000
_ITEM = struct.Struct(">QI")


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
        """A home copy changed; the put that must go into the same batch."""
        number = key[0] << 8 | key[1]
        self._live[number] += is_live(after) - is_live(before)
        digest = self._digest[number] ^ _digest(key, after)
        if before:
            digest ^= _digest(key, before)
        self._digest[number] = digest
        return (Family.TALLIES, key[:2], ROW.pack(self._live[number], digest))

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
    item = key + _ITEM.pack(*peek(raw))
    return int.from_bytes(hashlib.blake2b(item, digest_size=8).digest(), "big")
