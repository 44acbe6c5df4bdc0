"""The ring: the table from partition to cell.

Each key hashes to one of 1024 partitions. Consistent hashing (Karger et al. 1997, in `uhashring`)
maps each partition to a preference list of three nodes, its cell. The first two are the homes, the
third is the standby. A process computes the table once; a lookup is an array index.
"""

import hashlib
from dataclasses import dataclass

from uhashring import HashRing

PARTITIONS = 1024
"""Slices of the key space. Every stored key starts with its partition, so data fixes the number."""
CELL = 3
"""Nodes of a partition: two homes and a standby."""
PARTITION_BYTES = 2
"""Bytes of the partition number in a key."""
VNODES = 160
"""Points of one node on the hash ring.

Lower: the nodes' shares differ more. Higher: a process takes longer to start. Any other number
moves the data of existing clusters.
"""
END = b"\xff\xff\xff"
"""A bound above every key."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The three nodes of a partition; any two are a quorum."""

    home: str
    partner: str
    standby: str

    @property
    def homes(self) -> tuple[str, str]:
        """The two homes, the preferred coordinator first."""
        return (self.home, self.partner)

    @property
    def nodes(self) -> tuple[str, str, str]:
        """All three nodes, in order of preference."""
        return (self.home, self.partner, self.standby)


class Ring:
    """The placement of partitions on a fixed set of nodes.

    `digest`: 8 bytes; processes with equal digests agree on every cell.
    """

    __slots__ = ("cells", "digest", "names")

    def __init__(self, names: tuple[str, ...]) -> None:
        """Place the partitions. Raises `ValueError` unless `names` has three distinct names."""
        if len(set(names)) != len(names) or len(names) < CELL:
            raise ValueError(f"a ring takes at least {CELL} distinct names, got {list(names)}")
        self.names = tuple(sorted(names))
        self.cells = _place(self.names)
        self.digest = hashlib.blake2b(
            repr((PARTITIONS, [cell.nodes for cell in self.cells])).encode(), digest_size=8
        ).digest()

    def cell(self, key: bytes) -> Cell:
        """Return the cell of a key that `key_of` made."""
        return self.cells[key[0] << 8 | key[1]]

    def __repr__(self) -> str:
        return f"<Ring {len(self.names)} nodes, {PARTITIONS} partitions, {self.digest.hex()}>"


def _place(names: tuple[str, ...]) -> tuple[Cell, ...]:
    ring = HashRing(nodes=list(names), hash_fn="ketama", vnodes=VNODES)
    return tuple(
        Cell(*(str(node["nodename"]) for node in ring.range(f"partition-{number}", size=CELL)))
        for number in range(PARTITIONS)
    )


def partition_of(record_id: bytes) -> int:
    """Return the partition of a record id."""
    digest = hashlib.blake2b(record_id, digest_size=PARTITION_BYTES).digest()
    return int.from_bytes(digest, "big") % PARTITIONS


def key_of(record_id: str) -> bytes:
    """Return a record's key: its partition, then its id.

    Nodes and messages use this key; clients see the id alone.
    """
    raw = record_id.encode()
    return partition_of(raw).to_bytes(PARTITION_BYTES, "big") + raw


def id_of(key: bytes) -> str:
    """Return the record id in a key."""
    return key[PARTITION_BYTES:].decode()


def partition_in(key: bytes) -> int:
    """Return the partition at the start of a key."""
    return key[0] << 8 | key[1]
