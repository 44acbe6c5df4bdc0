"""The real clock."""

import time
from collections.abc import Callable
from functools import partial


class SystemClock:
    """Time of this machine. Where the system has one, a clock that runs through suspension."""

    def __init__(self) -> None:
        source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        # No method: it is asked the time nine times per change, and a call costs more than that.
        self.now: Callable[[], float] = partial(time.clock_gettime, source)
        """Seconds since boot."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000
