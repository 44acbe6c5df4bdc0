"""Tallies: what lets COUNT be exact without reading a record.

For each partition a node keeps how many of its home copies live, and the exclusive-or of a digest
of every copy's (key, newest dot). Since a newest dot names one state, equal digests on both homes
mean equal sets of states. A tally changes in the same batch as the copy it counts.
"""

import struct
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from ddb.node.replica.damage import DamageBook
from ddb.node.storage.store import Family, Put, Store, Unreadable
from ddb.record.codec import LIVE, NEWEST
from ddb.ring.ring import END, PARTITION_BYTES, PARTITIONS

ROW = struct.Struct(">QQ")
_SCAN_ROWS = 2000


class PartitionDigests:
    """The tallies of one node's home copies."""

    def __init__(self, store: Store, damage: DamageBook) -> None:
        """Read the stored tallies; add up again those that cannot be read."""
        self._live = [0] * PARTITIONS
        self._digest = [0] * PARTITIONS
        for number in range(PARTITIONS):
            key = number.to_bytes(2, "big")
            try:
                row = None if damage.covers(Family.TALLIES, key) else store.get(Family.TALLIES, key)
            except Unreadable as unreadable:
                damage.found(unreadable)
                row = None
            if row:
                self._live[number], self._digest[number] = ROW.unpack(row)
            if damage.covers(Family.TALLIES, key):
                self.taken(added_up(number, partition_rows(damage, Family.RECORDS, number)))

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

    def stored(self, number: int) -> Put:
        """The put that writes a partition's tally as it is."""
        row = ROW.pack(self._live[number], self._digest[number])
        return (Family.TALLIES, number.to_bytes(2, "big"), row)

    def packed(self) -> bytes:
        """All partitions' rows, in order."""
        return b"".join(map(ROW.pack, self._live, self._digest))

    def __repr__(self) -> str:
        return f"<TallyBook {self.live} live>"


def added_up(number: int, rows: Iterable[tuple[bytes, bytes]]) -> Put:
    """The put of a partition's tally that counts all its home copies, `rows`."""
    live = digest = 0
    for key, raw in rows:
        live += raw[0] & LIVE
        digest ^= _digest(key, raw)
    return (Family.TALLIES, number.to_bytes(2, "big"), ROW.pack(live, digest))


def walk(
    damage: DamageBook, family: Family, start: bytes = b"", stop: bytes = END
) -> Iterator[tuple[bytes, bytes]]:
    """Every readable pair from `start` to before `stop`, a batch in memory at a time."""
    while rows := damage.readable(family, start, stop, _SCAN_ROWS)[0]:
        yield from rows
        start = rows[-1][0] + b"\x00"


def partition_rows(
    damage: DamageBook, family: Family, number: int
) -> Iterator[tuple[bytes, bytes]]:
    """Every readable pair of one partition."""
    start = number.to_bytes(PARTITION_BYTES, "big")
    stop = (number + 1).to_bytes(PARTITION_BYTES, "big") if number + 1 < PARTITIONS else END
    return walk(damage, family, start, stop)


def _digest(key: bytes, raw: bytes) -> int:
    item = key + raw[NEWEST]
    return int.from_bytes(blake2b(item, digest_size=8).digest(), "big")
