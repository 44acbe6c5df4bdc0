"""The real clock."""

import time
from collections.abc import Callable
from functools import partial


class SystemClock:
    """The time of this machine.

    If the system has such a clock, it also runs while the machine sleeps.
    """

    def __init__(self) -> None:
        source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        # Not a method: a change reads the time nine times, and a call costs more than the read.
        self.now: Callable[[], float] = partial(time.clock_gettime, source)
        """Return the seconds since boot."""

    def wall_ms(self) -> int:
        """Return the milliseconds since the epoch."""
        return time.time_ns() // 1_000_000
