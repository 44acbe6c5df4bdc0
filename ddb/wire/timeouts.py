"""Time-outs: every wait on a request's way, as a share of one budget.

A gateway answers within the budget whatever happens to any one node. So the budget holds the worst
course of events: a silent coordinator, or one that meets two silent partners; then a second
coordinator that meets a silent partner; then the rounds themselves, which get the largest share.
The shares keep these proportions at any budget. Safety depends on none of them, so processes with
different budgets work together.
"""

from dataclasses import dataclass

DEFAULT_BUDGET_S = 0.225
"""Too low: a disk or network that is merely slow turns requests into errors. Too high: a client
waits longer for the error when two nodes of a record are out of reach."""

_COORDINATOR = 4 / 15
"""Too low: a busy coordinator counts as silent, and a second one competes with it. Too high: no
time is left for a second coordinator."""
_PARTNER = 8 / 45
"""Two silent partners take a third of the budget. Too low: a busy partner counts as silent."""
_HEDGE = 2 / 45
"""Too low: attempts follow each other without new information. Too high: they waste the budget."""
_GIVE_WAY = 4 / 45
"""Too low: two coordinators overtake each other's ballots. Too high: they wait for no reason."""
_ADMISSION = 1 / 2
"""Too low: a short burst is refused. Too high: admitted requests have no time left, and a gateway
takes a coordinator with a long queue for one that lost the request."""
_SCAN_ADMISSION = 1 / 4
"""The same for LIST and COUNT, which take longer."""
_BEGIN = 3 / 10
"""Covers a silent partner and the flushes of the round. Too low: a change that waited for its turn
begins too late, and its outcome is unknown. Too high: it is refused though it could be decided."""
_FLUSH_OVERDUE = 2 / 9
"""Too low: a busy machine or a shared disk moves load to other nodes and makes hints. Too high: a
request that waits for the flush has no time left for the record's two other nodes."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds."""

    request_s: float
    """From a request's arrival at the gateway to its answer."""
    coordinator_s: float
    """Silence of a coordinator, or of a home that is read, before another node is asked."""
    scan_s: float
    """Silence of a node before LIST and COUNT go on without it."""
    partner_s: float
    """Silence of a partner before the coordinator asks the other one."""
    hedge_s: float
    """Pause before an attempt that has little hope."""
    give_way_s: float
    """Longest mean pause before a ballot that met a newer promise."""
    admission_s: float
    """Longest wait before a request is begun: to be admitted, or for a turn on its record."""
    scan_admission_s: float
    """The same for LIST and COUNT."""
    begin_s: float
    """Time that a change must have left when its coordinator begins it."""
    flush_overdue_s: float
    """Duration of a flush after which a node reports its disk as slow."""

    @classmethod
    def of(cls, budget_s: float) -> "Timeouts":
        """The time-outs of a budget."""
        return cls(
            request_s=budget_s,
            coordinator_s=budget_s * _COORDINATOR,
            scan_s=budget_s * _COORDINATOR,
            partner_s=budget_s * _PARTNER,
            hedge_s=budget_s * _HEDGE,
            give_way_s=budget_s * _GIVE_WAY,
            admission_s=budget_s * _ADMISSION,
            scan_admission_s=budget_s * _SCAN_ADMISSION,
            begin_s=budget_s * _BEGIN,
            flush_overdue_s=budget_s * _FLUSH_OVERDUE,
        )

    @property
    def worst_waits_s(self) -> float:
        """Silence that one operation can meet while one node of its cell is out of reach."""
        first = max(self.coordinator_s, 2 * self.partner_s)
        return first + self.partner_s


DEFAULT = Timeouts.of(DEFAULT_BUDGET_S)
"""What a process uses that is configured with no other budget."""
