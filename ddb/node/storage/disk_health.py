"""Disk health: the state of a node's disk, judged by the duration of its flushes.

Pure: times and durations come in as values. `ddb.node.storage.disk_monitor` feeds it and acts on
changes.
"""

from ddb.wire.messages import DiskState
from ddb.wire.timeouts import DEFAULT, Timeouts

GIVE_UP_AFTER = 2.0
"""Multiple of `Timeouts.flush_overdue_s` after which requests move from a flush to other nodes.

Too low: where all disks are slow, requests move from one to the next and none is finished. Too
high: the other nodes have no time left for them.
"""
STALLED_AFTER = 5.0
"""Multiple of `Timeouts.flush_overdue_s` after which the disk counts as stalled.

Five times is the budget of a request. Too low: callers avoid a slow disk that could still answer
as the last choice. Too high: the gateway reports ready although two nodes cannot store anything.
"""
QUICK_SHARE = 0.5
"""Share of `Timeouts.flush_overdue_s` within which a flush counts towards recovery.

Too low: a recovered disk never counts as healthy. Too high: a disk near the limit flaps.
"""
QUICK_FLUSHES = 5
"""Quick flushes until the disk is healthy. Too low: a few cached flushes prove nothing."""
RECOVERY_S = 1.0
"""Seconds that those flushes must span.

Too low: a disk with intermittent stalls delays requests after each recovery. Too high: the standby
keeps hints for a recovered node longer than needed.
"""

# Each flush compares with it. To read a member from its class costs 80 ns.
HEALTHY = DiskState.HEALTHY


class DiskHealth:
    """The state of one disk.

    One overdue flush makes it worse at once. After a single overdue flush the next quick one makes
    it healthy. After two, or a very late one, it takes `QUICK_FLUSHES` quick ones over
    `RECOVERY_S`, with no overdue one among them.
    """

    def __init__(self, timeouts: Timeouts = DEFAULT) -> None:
        """`timeouts.flush_overdue_s`: seconds after which a flush is overdue."""
        self.state = DiskState.HEALTHY
        self._overdue_s = timeouts.flush_overdue_s
        self._began: float | None = None
        self._gave_up = False
        self._overdue = 0
        """Overdue flushes since the disk was healthy; a very late one counts as two."""
        self._quick = 0
        self._quick_since = 0.0

    @property
    def flushing(self) -> bool:
        """Whether a flush is in flight."""
        return self._began is not None

    def began(self, now: float) -> None:
        """Note that a flush is in flight."""
        self._began = now

    def ended(self, now: float, seconds: float) -> None:
        """Note that a flush took `seconds`."""
        self._began = None
        if seconds >= self._overdue_s:
            self._overdue += 2 if seconds >= GIVE_UP_AFTER * self._overdue_s else 1
            self._worsen(DiskState.SLOW)
        elif self.state is not HEALTHY:
            self._recover(now, seconds)

    def check(self, now: float) -> bool:
        """Judge the flush in flight by its age; whether its requests should move to other nodes.

        The result is True at most once until the disk is healthy again. Later requests reach this
        node only as the last choice, and wait.
        """
        if self._began is None:
            return False
        age = now - self._began
        if age >= STALLED_AFTER * self._overdue_s:
            self._worsen(DiskState.STALLED)
        elif age >= self._overdue_s:
            self._worsen(max(DiskState.SLOW, self.state))
        if self._gave_up or age < GIVE_UP_AFTER * self._overdue_s:
            return False
        self._gave_up = True
        return True

    def due(self, now: float) -> float | None:
        """Return the seconds until `check` may change the state; None where it cannot."""
        if self._began is None or self.state is DiskState.STALLED:
            return None
        if self.state is DiskState.HEALTHY:
            times = 1.0
        else:
            times = STALLED_AFTER if self._gave_up else GIVE_UP_AFTER
        return max(0.0, self._began + times * self._overdue_s - now)

    def _worsen(self, state: DiskState) -> None:
        self.state = state
        self._quick = 0

    def _recover(self, now: float, seconds: float) -> None:
        self.state = DiskState.SLOW
        if seconds > QUICK_SHARE * self._overdue_s:
            # It proves neither: on a busy machine one in a hundred flushes of a quick disk does so.
            return
        if not self._quick:
            self._quick_since = now
        self._quick += 1
        lasted = self._quick >= QUICK_FLUSHES and now - self._quick_since >= RECOVERY_S
        # Nodes on a busy machine often have one late flush. If each of those counted for longer,
        # they would hide the node whose disk is slow.
        if lasted or self._overdue == 1:
            self.state = DiskState.HEALTHY
            self._gave_up = False
            self._overdue = self._quick = 0

    def __repr__(self) -> str:
        flight = "" if self._began is None else ", a flush in flight"
        return f"<DiskHealth {self.state.name.lower()}{flight}>"
