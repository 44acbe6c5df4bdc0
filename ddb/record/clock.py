"""The hybrid clock that ballots take their counters from (after Kulkarni et al. 2014).

The high bits are milliseconds, so that counters keep growing over restarts and are roughly fair
between coordinators; the low bits count within a millisecond. Nothing depends on the wall clock
being right: a counter is above every counter in sight whatever the clock says.
"""

from dataclasses import dataclass

LOGICAL_BITS = 16
GREATEST = 2**64 - 1


def at_millisecond(milliseconds: int) -> int:
    """The least counter of a wall-clock millisecond."""
    return milliseconds << LOGICAL_BITS


def millisecond_of(counter: int) -> int:
    """The wall-clock millisecond that a counter's high bits claim; for display only."""
    return counter >> LOGICAL_BITS


@dataclass(slots=True)
class HybridClock:
    """A counter source: `last` is at or above every counter issued or observed."""

    last: int = 0

    def next(self, wall_ms: int, above: int = 0) -> int:
        """Issue a counter above everything issued, observed, and `above`."""
        self.last = max(self.last + 1, above + 1, at_millisecond(wall_ms))
        return self.last

    def observe(self, counter: int) -> None:
        """Make every later counter greater than `counter`."""
        self.last = max(self.last, counter)
