"""How long a record remembers the operations behind it, without trusting any wall clock.

A state carries the operations that may still be retried. A gateway's operation can be forgotten
once that gateway has said that it can no longer be attempted (`Do.low`). Otherwise, and for the
operations that clients name, this node must itself have watched the entry for a whole window on
its own steady clock. A restart starts the watch again: forgetting late is harmless, early is not.
"""

from collections import OrderedDict

from ddb.record.state import Entry, Operation
from ddb.wire.ports import Clock

KEYED_WINDOW = 600.0
"""Seconds that a client's Idempotency-Key holds."""
GATEWAY_WINDOW = 60.0
"""Seconds after which the requests of a gateway not heard of are certainly dead."""
KEPT = KEYED_WINDOW + 2 * GATEWAY_WINDOW
"""Seconds that an operation is watched, at most; then its watch starts anew. The client may use
its key again, and where another node coordinates that use, this one is not told."""
OVER = GATEWAY_WINDOW
"""Seconds that an operation is known as forgettable once that was said. Not at once is its watch
let go: a round has several steps, and one that did not get through is made again."""
LET_GO = 4
"""Watches let go, at most, as one starts: more than one, so that they do not pile up."""
MOST_KEYED = 512
"""Client-named operations that one record remembers; beyond that, writes so named are refused."""
SENDER_BYTES = 6


class Memory:
    """What this node knows about the operations that can still come again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._low: dict[bytes, tuple[int, float]] = {}
        # Both in the order of their times, so that what is due lies in front: taken from the front
        # of a plain dict, each next one is farther to seek.
        self._watched: OrderedDict[bytes, float] = OrderedDict()
        self._over: OrderedDict[bytes, float] = OrderedDict()
        self._swept = clock.now()

    def heard(self, sender: bytes, low: int) -> None:
        """A gateway said that its operations below `low` are over."""
        known = self._low.get(sender)
        self._low[sender] = (max(low, known[0]) if known else low, self._clock.now())

    def begun(self, operation: Operation) -> None:
        """An operation comes to a record that does not know it: the watch is of an earlier one."""
        if operation.fingerprint:
            # A gateway uses no name twice.
            self._let_go(operation.id + operation.fingerprint)

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

    def _watched_for(self, name: bytes, window: float) -> bool:
        now = self._clock.now()
        since = self._watched.get(name)
        if since is not None and self._is_due(name, now):
            self._let_go(name)
            since = None
        if since is None:
            self._sweep(now)
            self._watched[name] = now
            return False
        if now - since <= window:
            return False
        self._over.setdefault(name, now)
        return True

    def _is_due(self, name: bytes, now: float) -> bool:
        return now - self._watched[name] >= KEPT or now - self._over.get(name, now) > OVER

    def _let_go(self, name: bytes) -> None:
        self._watched.pop(name, None)
        self._over.pop(name, None)

    def _sweep(self, now: float) -> None:
        if now - self._swept > GATEWAY_WINDOW:
            self._swept = now
            # All at once, as there are only ever a few gateways.
            self._low = {
                sender: known
                for sender, known in self._low.items()
                if now - known[1] < GATEWAY_WINDOW
            }
        # A few at a time: for a million at once every client of this node would wait.
        for names in (self._over, self._watched):
            for _ in range(LET_GO):
                oldest = next(iter(names), None)
                if oldest is None or not self._is_due(oldest, now):
                    break
                self._let_go(oldest)

    def __repr__(self) -> str:
        return f"<Memory {len(self._low)} gateways, {len(self._watched)} operations watched>"
