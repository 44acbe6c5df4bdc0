"""Partition digests: what makes COUNT exact without reading a record.

For each partition a node keeps the number of its live home copies. It also keeps the exclusive-or
of a hash of each copy's (key, newest dot). A newest dot names one state, so equal digests on both
homes mean equal sets of states. A digest changes in the same batch as the copy it covers.
"""

import struct
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from ddb.node.replica.damage import DamageBook
from ddb.node.storage.store import Family, Put, Store, Unreadable
from ddb.record.codec import LIVE, NEWEST
from ddb.ring.ring import END, PARTITION_BYTES, PARTITIONS

ROW = struct.Struct(">QQ")
"""One partition's digest on disk and in messages: live copies, then the exclusive-or."""
# Each change puts one. To read a member from its class costs 80 ns.
DIGESTS = Family.DIGESTS
_EMPTY_HASH = blake2b(digest_size=8)
_SCAN_ROWS = 2000
"""Rows that a walk reads at a time. Too low: each costs a seek. Too high: they fill the memory."""


class PartitionDigests:
    """The digests of one node's home copies."""

    def __init__(self, store: Store, damage: DamageBook) -> None:
        """Read the stored digests; compute unreadable ones from the records."""
        # Packed as GetDigests sends them: a COUNT then copies them and packs nothing.
        self._rows = bytearray(PARTITIONS * ROW.size)
        for number in range(PARTITIONS):
            key = number.to_bytes(2, "big")
            try:
                row = None if damage.covers(DIGESTS, key) else store.get(DIGESTS, key)
            except Unreadable as unreadable:
                damage.note_unreadable(unreadable)
                row = None
            if row:
                self.apply((DIGESTS, key, row))
            if damage.covers(DIGESTS, key):
                self.apply(computed(number, partition_rows(damage, Family.RECORDS, number)))

    @property
    def live(self) -> int:
        """Live home copies."""
        return sum(live for live, _ in ROW.iter_unpack(self._rows))

    def change(self, key: bytes, before: bytes, after: bytes) -> Put:
        """Return the put that belongs in the same batch as a copy's change.

        The caller then calls `apply`, unless the store has refused the batch.

        Args:
            before: the key's encoded state, empty where absent.
            after: the state that replaces it.
        """
        number = key[0] << 8 | key[1]
        live, digest = ROW.unpack_from(self._rows, number * ROW.size)
        live += after[0] & LIVE
        digest ^= _digest(key, after)
        if before:
            live -= before[0] & LIVE
            digest ^= _digest(key, before)
        return (DIGESTS, key[:2], ROW.pack(live, digest))

    def apply(self, put: Put) -> None:
        """Adopt a put of `change` or `computed` that the store has taken."""
        _, key, row = put
        if row is not None:
            number = key[0] << 8 | key[1]
            ROW.pack_into(self._rows, number * ROW.size, *ROW.unpack(row))

    def current(self, number: int) -> Put:
        """Return the put that writes a partition's present digest."""
        row = self._rows[number * ROW.size : (number + 1) * ROW.size]
        return (DIGESTS, number.to_bytes(2, "big"), bytes(row))

    def packed(self) -> bytes:
        """Return the rows of all partitions, in order."""
        return bytes(self._rows)

    def __repr__(self) -> str:
        return f"<PartitionDigests {self.live} live>"


def computed(number: int, rows: Iterable[tuple[bytes, bytes]]) -> Put:
    """Return the put of a partition's digest, computed from all its rows.

    Args:
        rows: pairs of key and encoded state: the partition's home copies.
    """
    live = digest = 0
    for key, raw in rows:
        live += raw[0] & LIVE
        digest ^= _digest(key, raw)
    return (DIGESTS, number.to_bytes(2, "big"), ROW.pack(live, digest))


def walk(
    damage: DamageBook, family: Family, start: bytes = b"", stop: bytes = END
) -> Iterator[tuple[bytes, bytes]]:
    """Yield every readable pair from `start` to before `stop`, in key order."""
    while rows := damage.readable(family, start, stop, _SCAN_ROWS)[0]:
        yield from rows
        start = rows[-1][0] + b"\x00"


def partition_rows(
    damage: DamageBook, family: Family, number: int
) -> Iterator[tuple[bytes, bytes]]:
    """Yield every readable pair of one partition, in key order."""
    start = number.to_bytes(PARTITION_BYTES, "big")
    stop = (number + 1).to_bytes(PARTITION_BYTES, "big") if number + 1 < PARTITIONS else END
    return walk(damage, family, start, stop)


def _digest(key: bytes, raw: bytes) -> int:
    # A copy costs a fifth less than a new hash with its keyword argument.
    hashing = _EMPTY_HASH.copy()
    hashing.update(key + raw[NEWEST])
    return int.from_bytes(hashing.digest(), "big")
