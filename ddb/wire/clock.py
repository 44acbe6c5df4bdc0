"""The real clock."""

import time


class SystemClock:
    """Time of this machine. Where the system has one, a clock that runs through suspension."""

    _source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now(self) -> float:
        """Seconds since boot."""
        return time.clock_gettime(self._source)

    def wall_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000
