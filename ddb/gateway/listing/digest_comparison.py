"""Digest comparison: the partitions whose homes agree, from the digests of all nodes at once.

A COUNT compares 1024 pairs of digests. Passes over whole tables, in C, take 0.2 ms on three nodes.
A loop over the partitions takes 2 ms.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress, count
from operator import ne

from ddb.ring.ring import PARTITIONS, Ring
from ddb.wire.messages import Digests


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
        self._names = ring.names
        self._rows = struct.Struct("16s" * PARTITIONS)
        self._live = struct.Struct(">" + "Q8x" * PARTITIONS)
        # The tables of all nodes form one list. Each number is the place of a row in it.
        table = {name: index * PARTITIONS for index, name in enumerate(ring.names)}
        self._of_home, self._of_partner = (
            [table[home] + number for number, home in enumerate(homes)]
            for homes in zip(*(cell.homes for cell in ring.cells), strict=True)
        )
        self._partitions = {
            name: frozenset(number for number, cell in enumerate(ring.cells) if name in cell.homes)
            for name in ring.names
        }

    def compare(self, replies: Mapping[str, Digests]) -> Comparison:
        """Compare the replies, by node."""
        rows: list[bytes] = []
        uncounted: list[frozenset[int]] = []
        for name in self._names:
            if name in replies:
                rows += self._rows.unpack(replies[name].records)
                uncounted.append(frozenset(replies[name].damaged))
            else:
                rows += [bytes(16)] * PARTITIONS
                uncounted.append(self._partitions[name])
        of_home = list(map(rows.__getitem__, self._of_home))
        of_partner = list(map(rows.__getitem__, self._of_partner))
        return Comparison(
            self._live.unpack(b"".join(of_home)),
            self._live.unpack(b"".join(of_partner)),
            frozenset(compress(count(), map(ne, of_home, of_partner))).union(*uncounted),
        )

    def __repr__(self) -> str:
        return f"<DigestComparison of {len(self._names)} nodes>"
