"""The ring: which three nodes are the cell of a key.

Keys hash to a fixed number of partitions; consistent hashing (Karger et al. 1997, by `uhashring`)
maps each partition to a preference list of nodes. The first two are the partition's homes, the
third its standby: together its cell. The table is computed once; a lookup is an array index.
"""

import hashlib
from dataclasses import dataclass

from uhashring import HashRing

PARTITIONS = 1024
CELL = 3
PARTITION_BYTES = 2
VNODES = 160
END = b"\xff\xff\xff"
"""Above every key."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The three nodes that decide a partition's records: any two of them are a quorum."""

    home: str
    partner: str
    standby: str

    @property
    def homes(self) -> tuple[str, str]:
        """The nodes that keep the two copies, first choice of coordinator first."""
        return (self.home, self.partner)

    @property
    def nodes(self) -> tuple[str, str, str]:
        """All three, in order of preference."""
        return (self.home, self.partner, self.standby)


class Ring:
    """The placement of all partitions over a fixed set of node names."""

    __slots__ = ("cells", "digest", "names")

    def __init__(self, names: tuple[str, ...]) -> None:
        """Raises ValueError below three distinct names."""
        if len(set(names)) != len(names) or len(names) < CELL:
            raise ValueError(f"a ring takes at least {CELL} distinct names, got {list(names)}")
        self.names = tuple(sorted(names))
        self.cells = _place(self.names)
        self.digest = hashlib.blake2b(
            repr((PARTITIONS, [cell.nodes for cell in self.cells])).encode(), digest_size=8
        ).digest()

    def cell(self, key: bytes) -> Cell:
        """The cell of a key made by `key_of`."""
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
    """The partition of a record id."""
    digest = hashlib.blake2b(record_id, digest_size=PARTITION_BYTES).digest()
    return int.from_bytes(digest, "big") % PARTITIONS


def key_of(record_id: str) -> bytes:
    """The key of a record everywhere below the gateway: its partition, then its id."""
    raw = record_id.encode()
    return partition_of(raw).to_bytes(PARTITION_BYTES, "big") + raw


def id_of(key: bytes) -> str:
    """The record id of a key."""
    return key[PARTITION_BYTES:].decode()


def partition_in(key: bytes) -> int:
    """The partition that a key starts with."""
    return key[0] << 8 | key[1]
