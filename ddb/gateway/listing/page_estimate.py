"""Density: how the records lie in the key space, as far as reading them has shown.

From it follows how far to look for a page of them. Keys are hashes: what holds of one part of the
key space holds of the others. Pure.
"""

from math import ceil

from ddb.ring.ring import PARTITIONS

DECAY_PER_PAGE = 0.9
"""How much of what was known before still counts after one more look."""
SAFETY_FACTOR = 1.25
"""How much more is asked for than is likely to do: a second question costs more than some rows."""
MIN_ROWS = 8
"""Rows beyond what is wanted, as a margin for small pages."""


class PageEstimate:
    """Running sums over looks at stretches of the key space, the last ones counting most."""

    def __init__(self) -> None:
        self._rows = 0.0
        self._living = 0.0
        self._partitions = 0.0

    def learn(self, rows: int, living: int, partitions: int) -> None:
        """A stretch had so many rows, so many of them living, and began so many partitions."""
        self._rows = self._rows * DECAY_PER_PAGE + rows
        self._living = self._living * DECAY_PER_PAGE + living
        self._partitions = self._partitions * DECAY_PER_PAGE + partitions

    def partitions(self, living: int) -> int:
        """In how many partitions so many living records are likely to be found; all: unknown."""
        if self._living * PARTITIONS <= self._partitions * living:
            return PARTITIONS
        return min(PARTITIONS, 1 + ceil(SAFETY_FACTOR * living * self._partitions / self._living))

    def rows(self, living: int) -> int:
        """Among how many rows, tombstones included, so many living records are likely to be."""
        tombstones = (self._rows - self._living) / max(self._living, 1.0)
        return living + MIN_ROWS + ceil(SAFETY_FACTOR * living * tombstones)

    def __repr__(self) -> str:
        return (
            f"<Density {self._living:.0f} living of {self._rows:.0f} rows"
            f" in {self._partitions:.0f} partitions>"
        )
