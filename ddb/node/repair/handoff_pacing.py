"""The speed of handoff: how much it sends at a time, and how long it pauses in between."""

from ddb.node.metrics import NodeMetrics
from ddb.node.replica.acceptor import Acceptor
from ddb.wire.ports import Clock

IDLE_BATCH_HINTS = 256
"""Hints per batch while no client asks. Too low: each hint costs more messages and flushes. Too
high: the first client request waits for a longer batch."""
BUSY_BATCH_HINTS = 16
"""Hints per batch while clients ask. Too high: a request to a home waits for the whole batch."""
MAX_BATCH_BYTES = 1024 * 1024
"""State bytes after which a batch is full. Too low: large records travel one by one. Too high: a
batch occupies link and disk for longer than `HOME_TIMEOUT_S`."""
IDLE_BATCHES_IN_FLIGHT = 3
"""Batches in flight while no client asks, so that the next is ready when a home confirms one.

Two standbys may send to a home at once, so it may have six. Too high: six batches take a home
longer than `HOME_TIMEOUT_S`.
"""
IDLE_SWEEP_INTERVAL_S = 0.1
"""Seconds between passes that find no hint to hand off. Too low: an idle node spends CPU. Too high:
hints wait longer after their home returns."""
BUSY_SWEEP_INTERVAL_S = 0.02
"""Like `IDLE_SWEEP_INTERVAL_S`, while no home stores some hint. COUNT walks the partitions of such
hints, so too high a value makes COUNT slow for longer."""
IDLE_PAUSE_FACTOR = 0.1
"""Seconds of pause per second of handoff while no client asks. Other batches in flight continue.
Too low: handoff takes the whole event loop. Too high: handoff takes longer than it needs."""
BUSY_PAUSE_FACTOR = 4.0
"""Like `IDLE_PAUSE_FACTOR`, while clients ask. Too low: at half of the cluster's capacity handoff
slows clients down. Too high: hints accumulate."""
CLIENT_QUIET_S = 0.2
"""Seconds without a client request after which the node counts as idle. Too low: pauses between
requests count as idleness. Too high: handoff stays slow after the last request."""


class HandoffPacing:
    """Picks the busy or the idle limits, by whether clients ask this node."""

    def __init__(self, replica: Acceptor, counters: NodeMetrics, clock: Clock) -> None:
        self._replica = replica
        self._counters = counters
        self._clock = clock
        self._client_requests = 0
        self._busy_until = clock.now()

    def sweep_interval(self, any_alone: bool) -> float:
        """Return the seconds until the next pass.

        Args:
            any_alone: True where some hint's newest state may be on no home. False where a home
                stores each hint.
        """
        return BUSY_SWEEP_INTERVAL_S if any_alone else IDLE_SWEEP_INTERVAL_S

    def batch_hints(self) -> int:
        """Return the most hints that a batch may have."""
        return BUSY_BATCH_HINTS if self._is_busy() else IDLE_BATCH_HINTS

    def batches_in_flight(self) -> int:
        """Return the most batches that may be in flight."""
        return 1 if self._is_busy() else IDLE_BATCHES_IN_FLIGHT

    def pause_factor(self) -> float:
        """Return the seconds of pause per second of handoff."""
        return BUSY_PAUSE_FACTOR if self._is_busy() else IDLE_PAUSE_FACTOR

    def _is_busy(self) -> bool:
        now, requests = self._clock.now(), self._counters.operations + self._replica.reads
        if requests != self._client_requests:
            self._client_requests, self._busy_until = requests, now + CLIENT_QUIET_S
        return now < self._busy_until

    def __repr__(self) -> str:
        busy = self._clock.now() < self._busy_until
        return f"<HandoffPacing {'busy' if busy else 'idle'}>"
