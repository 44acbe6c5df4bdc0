"""Unreadable blocks and malformed rows of a simulated disk."""

from bisect import bisect_left
from dataclasses import dataclass, field

from ddb.node.storage.store import Family, Unreadable

CLEARED = b"\xff\xff\xff cleared"
"""The key of a put that is no row.

Its value names rots. Once it is durable, the store has dropped the files with those rots.
"""


@dataclass(slots=True)
class Rot:
    """Rows of one family in unreadable blocks."""

    number: int
    family: Family
    keys: frozenset[bytes]
    lost: set[bytes] = field(default_factory=set)
    """Keys without a newer row elsewhere: a point read of one needs the block."""

    def __post_init__(self) -> None:
        self.lost = set(self.keys)


class Rots:
    """All unreadable blocks and malformed rows of one disk."""

    def __init__(self) -> None:
        self.there: dict[int, Rot] = {}
        self.malformed: set[tuple[Family, bytes]] = set()
        """Rows whose durable bytes are readable and no state."""
        self._made = 0

    @property
    def none(self) -> bool:
        """Whether the disk has neither unreadable blocks nor malformed rows."""
        return not self.there and not self.malformed

    def begin(self, family: Family, keys: list[bytes]) -> Rot:
        """Make the blocks of some rows unreadable."""
        self._made += 1
        rot = self.there[self._made] = Rot(self._made, family, frozenset(keys))
        return rot

    def written(self, family: Family, key: bytes) -> None:
        """Note that a row was written again: its newest version is in another block."""
        for rot in self.there.values():
            if rot.family is family:
                rot.lost.discard(key)

    def cleared(self, family: Family, numbers: bytes) -> None:
        """Remove the rots `numbers`: a rewrite without them is durable."""
        for number in numbers:
            rot = self.there.get(number)
            if rot is not None and rot.family is family:
                del self.there[number]

    def numbers(self, family: Family) -> bytes:
        """Return the rots that a rewrite which begins now leaves behind."""
        return bytes(number for number, rot in self.there.items() if rot.family is family)

    def __repr__(self) -> str:
        return f"<Rots {list(self.there.values())}>"


class Reading:
    """One process's reads of a disk, and the rots that its rewrites have left behind."""

    def __init__(self, rots: Rots) -> None:
        self._rots = rots
        self._behind: set[int] = set()

    def leave(self, numbers: bytes) -> None:
        """Let this process read from files without these rots from now on."""
        self._behind.update(numbers)

    def _there(self, family: Family) -> list[Rot]:
        return [
            rot
            for number, rot in self._rots.there.items()
            if rot.family is family and number not in self._behind
        ]

    def check(self, family: Family, key: bytes) -> None:
        """Check a point read.

        Raises:
            Unreadable: the read needs an unreadable block.
        """
        if self._rots.there and any(key in rot.lost for rot in self._there(family)):
            raise Unreadable(family, key, "rotten block")

    def rotten(self, family: Family) -> frozenset[bytes]:
        """Return the keys that stop a scan."""
        if not self._rots.there:
            return frozenset()
        return frozenset(key for rot in self._there(family) for key in rot.keys)

    def extent(
        self, family: Family, key: bytes, order: list[bytes], end: bytes
    ) -> tuple[bytes, bytes]:
        """As `Store.extent`."""
        rotten = self.rotten(family)
        below = [each for each in order[: bisect_left(order, key)] if each not in rotten]
        above = (each for each in order[bisect_left(order, key) :] if each not in rotten)
        start, stop = below[-1] + b"\x00" if below else b"", next(above, end)
        if stop == key or not any(start <= each < stop for each in rotten):
            return key, key + b"\x00"
        return start, stop
