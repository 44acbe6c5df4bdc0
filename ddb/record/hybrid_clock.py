"""The hybrid clock: the source of ballot counters.

The clock follows Kulkarni et al. (2014). A counter has milliseconds in its high bits and a sequence
number in its low bits. Counters therefore grow across restarts, and are roughly fair between
coordinators. Correctness does not depend on the wall clock: each counter exceeds every counter that
the clock has observed.
"""

from dataclasses import dataclass

LOGICAL_BITS = 16
"""Width of the sequence number: 65,536 counters fit into one millisecond.

Lower: the counters of a busy node run ahead of its wall clock. Higher: fewer bits remain for the
milliseconds; the present 48 last 8,900 years.
"""
GREATEST = 2**64 - 1
"""The greatest counter: messages and files give it 64 bits."""


def at_millisecond(milliseconds: int) -> int:
    """Return the least counter of a wall-clock millisecond."""
    return milliseconds << LOGICAL_BITS


def millisecond_of(counter: int) -> int:
    """Return the millisecond of a counter, for display only."""
    return counter >> LOGICAL_BITS


@dataclass(slots=True)
class HybridClock:
    """A source of counters.

    `last`: at or above every counter issued or observed.
    """

    last: int = 0

    def next(self, wall_ms: int, above: int = 0) -> int:
        """Issue a counter greater than all issued and observed ones.

        Args:
            wall_ms: The wall clock, in milliseconds. The counter does not lie below it.
            above: The counter also exceeds this one.
        """
        self.last = max(self.last + 1, above + 1, at_millisecond(wall_ms))
        return self.last

    def observe(self, counter: int) -> None:
        """Make every later counter greater than `counter`."""
        if counter > self.last:  # noqa: PLR1730, a call of max costs 130 ns more
            self.last = counter
