"""Time-outs: each wait of a request, as a share of one budget.

A gateway replies within the budget, even if any one node fails. The budget therefore covers the
worst case:

1. a silent coordinator, or one that asks two silent peers;
2. a second coordinator, which asks one silent peer;
3. the rounds themselves, which get the largest share.

The shares keep these proportions at any budget. Safety depends on none of them, so processes with
different budgets work together.
"""

from dataclasses import dataclass

DEFAULT_BUDGET_S = 0.225
"""Too low: a disk or network that is merely slow turns requests into errors. Too high: a client
waits longer for the error when two nodes of a record are unreachable."""

_COORDINATOR = 4 / 15
"""Too low: a busy coordinator counts as silent, and a second one competes with it. Too high: no
time is left for a second coordinator."""
_PEER = 8 / 45
"""Two silent peers take a third of the budget. Too low: a busy peer counts as silent. Too high: no
time is left to ask the other peer."""
_HEDGE = 2 / 45
"""Too low: attempts follow each other without new information. Too high: they waste the budget."""
_GIVE_WAY = 4 / 45
"""Too low: two coordinators overtake each other's ballots. Too high: they wait for no reason."""
_ADMISSION = 3 / 5
"""Too low: the gateway refuses a short burst. Too high: admitted requests have no time left."""
_TURN = 11 / 20
"""Too low: a coordinator refuses the changes behind one that waits for a slow disk. Too high: a
gateway cannot tell a coordinator with a long queue from one that lost the request."""
_READ_ADMISSION = 3 / 4
"""The same for reads of one record. They take less time, and a late read has no unknown effect."""
_SCAN_ADMISSION = 3 / 4
"""The same for LIST and COUNT, which take longer. Too low: requests that wait for a silent node
have all places, and the gateway refuses the next ones."""
_BEGIN = 3 / 10
"""Covers a silent peer and the flushes of the round. Too low: a change that waited for its turn
begins too late, and its outcome is unknown. Too high: a change that had time is refused."""
_FLUSH_OVERDUE = 2 / 9
"""Too low: a busy machine or a shared disk moves load to other nodes and makes hints. Too high: a
request that waits for the flush has no time left for the record's two other nodes."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The waits of one process, all in seconds."""

    request_s: float
    """From a request's arrival at the gateway to its response."""
    coordinator_s: float
    """Silence of a coordinator, or of a home in a read, before the gateway asks another node."""
    scan_s: float
    """Silence of a node before LIST and COUNT continue without it."""
    peer_s: float
    """Silence of a peer before the coordinator asks the other one."""
    hedge_s: float
    """Pause before an attempt that is unlikely to succeed."""
    give_way_s: float
    """Longest mean pause after a ballot that met a newer promise."""
    admission_s: float
    """Longest wait at a gateway before a change begins."""
    turn_s: float
    """Longest wait at a coordinator for the turn on a record."""
    read_admission_s: float
    """Like `admission_s`, for reads of one record."""
    scan_admission_s: float
    """Like `admission_s`, for LIST and COUNT."""
    begin_s: float
    """Time that must remain when a coordinator begins a change."""
    flush_overdue_s: float
    """Duration of a flush after which a node reports its disk as slow."""

    @classmethod
    def of(cls, budget_s: float) -> "Timeouts":
        """Return the time-outs of a budget."""
        return cls(
            request_s=budget_s,
            coordinator_s=budget_s * _COORDINATOR,
            scan_s=budget_s * _COORDINATOR,
            peer_s=budget_s * _PEER,
            hedge_s=budget_s * _HEDGE,
            give_way_s=budget_s * _GIVE_WAY,
            admission_s=budget_s * _ADMISSION,
            turn_s=budget_s * _TURN,
            read_admission_s=budget_s * _READ_ADMISSION,
            scan_admission_s=budget_s * _SCAN_ADMISSION,
            begin_s=budget_s * _BEGIN,
            flush_overdue_s=budget_s * _FLUSH_OVERDUE,
        )

    @property
    def worst_waits_s(self) -> float:
        """Longest silence in one operation while one node of its cell is unreachable."""
        first = max(self.coordinator_s, 2 * self.peer_s)
        return first + self.peer_s


DEFAULT = Timeouts.of(DEFAULT_BUDGET_S)
"""The time-outs of a process without a configured budget."""
