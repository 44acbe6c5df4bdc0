"""An estimate of how many partitions and rows a page needs.

Keys are hashes, so one part of the key space predicts the others. Pure.
"""

from math import ceil

from ddb.ring.ring import PARTITIONS

DECAY_PER_PAGE = 0.9
"""Weight of earlier ranges after each new one. Too low: one unusual range misleads the next page.
Too high: the estimate follows a bulk load or delete too late."""
SAFETY_FACTOR = 1.25
"""Factor on the expected need. Too low: pages need a second request, which costs more than some
surplus rows. Too high: nodes send rows that the page does not use."""
MIN_ROWS = 8
"""Surplus rows per page. Too low: small pages need a second request. Too high: as above."""


class PageEstimate:
    """Decaying sums over the ranges that were read; recent ranges count most."""

    def __init__(self) -> None:
        self._rows = 0.0
        self._live = 0.0
        self._partitions = 0.0

    def learn(self, rows: int, live: int, partitions: int) -> None:
        """Add a range: its rows, the live ones among them, and the partitions that it covered."""
        self._rows = self._rows * DECAY_PER_PAGE + rows
        self._live = self._live * DECAY_PER_PAGE + live
        self._partitions = self._partitions * DECAY_PER_PAGE + partitions

    def partitions(self, live: int) -> int:
        """Estimate how many partitions have so many live records; without data: all of them."""
        if self._live * PARTITIONS <= self._partitions * live:
            return PARTITIONS
        return min(PARTITIONS, 1 + ceil(SAFETY_FACTOR * live * self._partitions / self._live))

    def rows(self, live: int) -> int:
        """Estimate how many rows, tombstones included, have so many live records."""
        tombstones = (self._rows - self._live) / max(self._live, 1.0)
        return live + MIN_ROWS + ceil(SAFETY_FACTOR * live * tombstones)

    def __repr__(self) -> str:
        return (
            f"<PageEstimate {self._live:.0f} live of {self._rows:.0f} rows"
            f" in {self._partitions:.0f} partitions>"
        )
