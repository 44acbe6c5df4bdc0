"""Clocks that a test sets."""

from dataclasses import dataclass

from ddb.runtime.system_clock import SystemClock

_MACHINE = SystemClock()


@dataclass(slots=True)
class SetClock:
    """A clock that stands still until the test sets it."""

    at: float = 1000.0

    def now(self) -> float:
        """Return the set time, in seconds."""
        return self.at

    def wall_ms(self) -> int:
        """Return 0: no code under test uses this wall clock."""
        return 0


@dataclass(slots=True)
class AheadClock:
    """A clock that is ahead of the machine's by a settable time."""

    ahead: float = 0.0

    def now(self) -> float:
        """Return the machine's seconds plus `ahead`."""
        return _MACHINE.now() + self.ahead

    def wall_ms(self) -> int:
        """Return the machine's wall clock."""
        return _MACHINE.wall_ms()
