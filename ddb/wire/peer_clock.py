"""The clock of the node at the other end of a link, bounded from below.

Every reply has the callee's clock. That value is a lower bound of the callee's clock when the
reply arrives. The greatest recent bound turns a local deadline into one on the callee's clock. The
callee reaches that deadline no later than the caller reaches its own. A request may wait in the
socket of a paused node. The node then reads it after its deadline, and no wall clock is needed.
"""

from collections import deque

MAX_CLOCK_BOUNDS = 16
"""Recent replies that bound the callee's clock.

Lower: after delayed replies, deadlines fall earlier than need be. Higher: a callee whose clock is
slower than the caller's gets deadlines that are too late.
"""


class PeerClock:
    """The difference between the callee's clock and this process's clock."""

    __slots__ = ("_bounds", "offset_s")

    def __init__(self) -> None:
        self.offset_s = 0.0
        """Seconds to add to a local time; 0 until the first reply."""
        self._bounds: deque[float] = deque(maxlen=MAX_CLOCK_BOUNDS)

    def observe(self, theirs: float, now: float) -> None:
        """Take the callee's clock `theirs` from a reply that arrives at `now`."""
        self._bounds.append(theirs - now)
        self.offset_s = max(self._bounds)

    def reset(self) -> None:
        """Drop all bounds: the next connection may reach another process."""
        self._bounds.clear()
        self.offset_s = 0.0

    def __repr__(self) -> str:
        return f"<PeerClock {self.offset_s:+.3f} s of {len(self._bounds)} replies>"
