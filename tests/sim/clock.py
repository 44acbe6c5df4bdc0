"""Simulated clocks: a steady one with any start, and a wall clock that may be wrong."""

from tests.sim.loop import SimLoop

EPOCH = 1_700_000_000.0
"""Seconds that a correct wall clock shows when a simulation begins."""


class SimClock:
    """The clocks of one machine."""

    def __init__(self, loop: SimLoop, offset: float, skew: float) -> None:
        """Make the clocks of one machine.

        Args:
            offset: seconds of the steady clock ahead of the loop's time.
            skew: seconds of the wall clock ahead of a correct one.
        """
        self.offset = offset
        self.skew = skew
        self._loop = loop

    def now(self) -> float:
        """As `Clock.now`."""
        return self._loop.now + self.offset

    def wall_ms(self) -> int:
        """As `Clock.wall_ms`."""
        return max(0, int((EPOCH + self.skew + self._loop.now) * 1000))

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back if `seconds` is negative."""
        self.skew += seconds

    def __repr__(self) -> str:
        return f"<SimClock {self.offset:+.3f} s steady, {self.skew:+.3f} s wall>"
