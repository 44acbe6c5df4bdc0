"""How long a record remembers the operations behind it, without trusting any wall clock.

A state carries the operations that may still be retried. A gateway's operation can be forgotten
once that gateway has said that it can no longer be attempted (`Do.low`). Otherwise, and for the
operations that clients name, this node must itself have watched the entry for a whole window on
its own steady clock. A restart starts the watch again: forgetting late is harmless, early is not.
"""

from ddb.record.state import Entry
from ddb.wire.ports import Clock

KEYED_WINDOW = 600.0
"""Seconds that a client's Idempotency-Key holds."""
GATEWAY_WINDOW = 60.0
"""Seconds after which the requests of a gateway not heard of are certainly dead."""
KEPT = KEYED_WINDOW + 2 * GATEWAY_WINDOW
"""Seconds that an operation is known as watched for long enough; then its watch starts anew, lest
it run out at once for a key that the client uses for another operation by then."""
MOST_KEYED = 512
"""Client-named operations that one record remembers; beyond that, writes so named are refused."""
SENDER_BYTES = 6


class Memory:
    """What this node knows about the operations that can still come again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._low: dict[bytes, tuple[int, float]] = {}
        self._watched: dict[bytes, float] = {}
        self._swept = clock.now()

    def heard(self, sender: bytes, low: int) -> None:
        """A gateway said that its operations below `low` are over."""
        known = self._low.get(sender)
        self._low[sender] = (max(low, known[0]) if known else low, self._clock.now())

    def forgettable(self, entry: Entry) -> bool:
        """Whether no attempt at the entry's operation can arrive any more."""
        operation = entry.operation
        if operation.fingerprint:
            # A client may use one key for several records: each has a window of its own.
            return self._watched_for(operation.id + operation.fingerprint, KEYED_WINDOW)
        known = self._low.get(operation.id[:SENDER_BYTES])
        if known is None:
            return self._watched_for(operation.id, GATEWAY_WINDOW)
        return int.from_bytes(operation.id[SENDER_BYTES:], "big") < known[0]

    def _watched_for(self, operation_id: bytes, window: float) -> bool:
        now = self._clock.now()
        if now - self._swept > GATEWAY_WINDOW:
            self._sweep(now)
        return now - self._watched.setdefault(operation_id, now) > window

    def _sweep(self, now: float) -> None:
        self._swept = now
        self._low = {
            sender: known for sender, known in self._low.items() if now - known[1] < GATEWAY_WINDOW
        }
        self._watched = {
            operation: since for operation, since in self._watched.items() if now - since < KEPT
        }

    def __repr__(self) -> str:
        return f"<Memory {len(self._low)} gateways, {len(self._watched)} operations watched>"
