"""When the next flush starts, and on which thread it runs.

A node flushes thousands of times a second. A flush costs a few hundred microseconds of CPU time
wherever it runs. So the policy avoids flushes, and it avoids switches between threads.

The last flush decides when the next one starts:

| the last flush covered | the next flush starts |
|---|---|
| at most `MIN_CROWD_COMMITS` commits | with the next turn of the loop |
| more, n | once n commits wait, or `MAX_GATHER_S` after the first of them |

With 32 writers the second row halves the number of flushes.

The duration of a flush decides where the next ones run:

| the flush ran on | and took | the next flushes run on |
|---|---|---|
| the loop | at most `QUICK_FLUSH_S` | the loop |
| the loop | more | the thread, for `THREAD_FLUSH_PERIOD_S` |
| the thread | at most `SLOW_FLUSH_S` | the thread until the current period ends, then the loop |
| the thread | more | the thread, for another `THREAD_FLUSH_PERIOD_S` |

A store begins with such a period, since the speed of its disk is not yet measured.
"""

from enum import Enum

MAX_GATHER_S = 0.003
"""Seconds for which a flush waits for more commits.

Too low: a crowd of writers needs twice the flushes. Too high: a write waits although the crowd has
shrunk.
"""
MIN_CROWD_COMMITS = 1
"""The largest number of commits in one flush that is not a crowd.

Too low: a single writer waits `MAX_GATHER_S` for company. Too high: few writers flush one by one.
"""
QUICK_FLUSH_S = 0.005
"""Seconds that a flush on the loop may take until flushes move to the thread.

Too low: a quick disk pays three switches between threads and five system calls per flush. They cost
as much CPU time as the flush itself. Too high: every request waits while the loop flushes.
"""
SLOW_FLUSH_S = 4 * QUICK_FLUSH_S
"""Seconds that a flush in the thread may take before the thread keeps the flushes for longer.

It exceeds `QUICK_FLUSH_S` because the thread also waits for the interpreter. Too low: a busy
process never returns to the loop. Too high: a slow disk stops the loop once per period.
"""
THREAD_FLUSH_PERIOD_S = 0.5
"""Seconds that flushes stay in the thread after a slow one.

Too low: a slow disk stops the loop often. Too high: one hiccup costs CPU time for longer.
"""


class Place(Enum):
    """Where a flush runs."""

    LOOP = "loop"
    """It is quick if it takes at most `QUICK_FLUSH_S`."""
    THREAD = "thread"
    """It is quick if it takes at most `SLOW_FLUSH_S`."""


# Each flush compares with these. To read a member from its class costs 80 ns.
LOOP, THREAD = Place.LOOP, Place.THREAD


class FlushPolicy:
    """Decides when the next flush starts and where it runs. Pure: times are arguments."""

    __slots__ = ("_thread_until", "crowd")

    def __init__(self, now: float) -> None:
        self.crowd = 0
        """Commits that the next flush waits for; 0 where it does not wait."""
        self._thread_until = now + THREAD_FLUSH_PERIOD_S

    def cover(self, commits: int) -> None:
        """Note how many commits the flush that starts now covers."""
        self.crowd = commits if commits > MIN_CROWD_COMMITS else 0

    def place(self, now: float) -> Place:
        """Choose where a flush that starts at `now` runs."""
        return THREAD if now < self._thread_until else LOOP

    def end(self, place: Place, began: float, ended: float) -> None:
        """Note that a flush ran from `began` to `ended`, both in seconds."""
        if ended - began > (SLOW_FLUSH_S if place is THREAD else QUICK_FLUSH_S):
            self._thread_until = ended + THREAD_FLUSH_PERIOD_S

    def __repr__(self) -> str:
        return f"<FlushPolicy crowd of {self.crowd}, thread until {self._thread_until:.3f}>"
