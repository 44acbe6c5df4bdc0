"""Digest comparison: the partitions whose homes agree, from the digests of all nodes at once.

A COUNT compares 1024 pairs of digests. A loop over them takes 2 ms. Here each table is one integer
of 16 KiB, so a few operations cut and join tables. That takes 0.1 ms on three nodes, and 0.2 ms
where digests differ. While no record changes, all replies are as before, and so is the comparison.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import compress, count

from ddb.ring.ring import PARTITIONS, Ring
from ddb.wire.messages import Digests

_ROW_BYTES = 16


@dataclass(frozen=True, slots=True)
class Comparison:
    """The digests of some nodes, compared.

    `of_home` and `of_partner` have the live records of each partition, by its first and its second
    home. A home that did not reply has 0. `differ` has the partitions without two equal digests.
    """

    of_home: tuple[int, ...]
    of_partner: tuple[int, ...]
    differ: frozenset[int]


class DigestComparison:
    """Compares the digests of the two homes of each partition."""

    def __init__(self, ring: Ring) -> None:
        self._table_bytes = _ROW_BYTES * PARTITIONS
        self._live = struct.Struct(">" + "Q8x" * PARTITIONS)
        self._halves = struct.Struct("QQ" * PARTITIONS)
        self._homes = {name: _rows(cell.home == name for cell in ring.cells) for name in ring.names}
        self._partners = {
            name: _rows(cell.partner == name for cell in ring.cells) for name in ring.names
        }
        self._partitions = {
            name: frozenset(number for number, cell in enumerate(ring.cells) if name in cell.homes)
            for name in ring.names
        }
        self._tables: dict[str, tuple[bytes, tuple[int, ...]]] = {}
        self._compared = self._compare({})

    def compare(self, replies: Mapping[str, Digests]) -> Comparison:
        """Compare the replies, by node."""
        tables = {name: (reply.records, reply.damaged) for name, reply in replies.items()}
        # The comparison follows from these tables alone. To find them equal takes 2 us.
        if tables != self._tables:
            self._compared = self._compare(replies)
            self._tables = tables
        return self._compared

    def _compare(self, replies: Mapping[str, Digests]) -> Comparison:
        home_rows = partner_rows = 0
        for name, reply in replies.items():
            table = int.from_bytes(reply.records, "big")
            home_rows |= table & self._homes[name]
            partner_rows |= table & self._partners[name]
        of_home = of_partner = self._live.unpack(self._bytes(home_rows))
        differ: frozenset[int] = frozenset()
        if home_rows != partner_rows:
            of_partner = self._live.unpack(self._bytes(partner_rows))
            halves = self._halves.unpack(self._bytes(home_rows ^ partner_rows))
            differ = frozenset(half // 2 for half in compress(count(), halves))
        absent = (of_node for name, of_node in self._partitions.items() if name not in replies)
        damaged = (reply.damaged for reply in replies.values())
        return Comparison(of_home, of_partner, differ.union(*absent, *damaged))

    def _bytes(self, table: int) -> bytes:
        return table.to_bytes(self._table_bytes, "big")

    def __repr__(self) -> str:
        return f"<DigestComparison of {len(self._partitions)} nodes>"


def _rows(chosen: Iterable[bool]) -> int:
    """Return a table in which each chosen partition has only ones, and each other only zeros."""
    rows = (b"\xff" * _ROW_BYTES if each else bytes(_ROW_BYTES) for each in chosen)
    return int.from_bytes(b"".join(rows), "big")
