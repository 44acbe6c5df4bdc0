"""The limit: how many operations may be in flight, by how long they take. Pure."""

from dataclasses import dataclass

SLOW = 0.3
"""A limit falls once operations take more than this share of the budget, on average."""
QUICK = 0.2
"""A limit may rise while they take less than this share. Too near to `SLOW`: it never settles."""
STEEPEST = 0.5
"""Least share of a limit that is left after one change."""
WINDOW_S = 0.05
"""Seconds between changes of a limit. Too low: chance decides. Too high: it comes late."""
ENOUGH = 8
"""Fewest operations whose mean may change a limit. Too low: chance decides."""


@dataclass(frozen=True, slots=True)
class Range:
    """Where a limit begins, and between what it stays."""

    fewest: int
    first: int
    most: int


class Limit:
    """How many operations may be in flight, by how long they take. Pure."""

    def __init__(self, budget_s: float, range: Range) -> None:
        self.most = range.first
        self.mean_s = 0.0
        """Seconds that an operation took on average in the latest window."""
        self._budget_s = budget_s
        self._range = range
        self._ends = 0.0
        self._count = 0
        self._total_s = 0.0

    def learn(self, now: float, took_s: float, crowded: bool) -> None:
        """An operation took so long. `crowded`: others waited to be admitted meanwhile."""
        self._count += 1
        self._total_s += took_s
        if now < self._ends or self._count < ENOUGH:
            return
        self.mean_s = self._total_s / self._count
        mean = self.mean_s / self._budget_s
        self._count, self._total_s, self._ends = 0, 0.0, now + WINDOW_S
        if mean > SLOW:
            self.most = max(self._range.fewest, int(self.most * max(STEEPEST, SLOW / mean)))
        elif mean < QUICK and crowded:
            self.most = min(self._range.most, self.most + 1 + self.most // 10)

    def shrink(self, now: float) -> None:
        """A coordinator had no time for an operation."""
        if now >= self._ends:
            self._count, self._total_s, self._ends = 0, 0.0, now + WINDOW_S
            self.most = max(self._range.fewest, int(self.most * STEEPEST))

    def __repr__(self) -> str:
        return f"<Limit {self.most}>"
