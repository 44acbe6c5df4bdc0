"""The dedup window: how long a record remembers its operations, without any wall clock.

A state carries the operations that may still be retried. Each gateway reports the operations that
it will not retry (`CoordinateChange.low`). Two kinds expire by this node's steady clock: those of a
silent gateway, and those that clients name. The node first sees a later number of the same gateway,
or a later ballot of the same coordinator (`issue_log`). A whole window after that, they expire. A
restarted node learns from its peers which ones have expired. Late expiry costs only space. Early
expiry would apply a retry twice.
"""

import math

from ddb.node.consensus.issue_log import IssueLog
from ddb.record import keyed_log
from ddb.record.state import Entry, Operation, Retention, State, remembered
from ddb.record.version import Dot, Version
from ddb.wire.ports import Clock

KEYED_WINDOW_S = 600.0
"""Seconds for which a client's Idempotency-Key is valid. Too low: a late retry takes effect twice.
Too high: records carry more operations."""
GATEWAY_WINDOW_S = 60.0
"""Seconds of silence after which no request of a gateway can still arrive. Too low: a delayed one
takes effect twice. Too high: records carry the operations of stopped gateways for longer."""
ISSUE_GRAIN_S = 10.0
"""Seconds between two marks of one issuer's counters. Lower: more than 60 marks of memory each.
Higher: records remember expired operations for as much longer."""
MAX_KEYED_ENTRIES = 4096
"""Client-named operations that one record remembers; it refuses one more. They take 52 KiB of the
state, which every change of the record sends and stores. Lower: the record takes fewer than 6 of
them a second all day long. Higher: each of its changes costs more."""
SENDER_BYTES = 6


class DedupWindow(Retention):
    """This node's record of the operations that may still be retried."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._low: dict[bytes, tuple[int, float]] = {}
        """By gateway: its last reported `low`, and when a report last arrived."""
        self._swept_at = clock.now()
        self._sequences = IssueLog[bytes](GATEWAY_WINDOW_S, ISSUE_GRAIN_S)
        self._ballots = IssueLog[int](KEYED_WINDOW_S, ISSUE_GRAIN_S)

    def record_low(self, sender: bytes, low: int) -> None:
        """Record the report of a gateway that it will not retry operations below `low`."""
        last = self._low.get(sender)
        if last is not None and last[0] > low:
            low = last[0]
        self._low[sender] = (low, self._clock.now())

    def forgettable(self, entry: Entry) -> bool:
        """As `Retention.forgettable`."""
        name = entry.operation.id
        sequence = int.from_bytes(name[SENDER_BYTES:], "big")
        reported = self._low.get(name[:SENDER_BYTES])
        if reported is not None:
            return sequence < reported[0]
        sender, now = name[:SENDER_BYTES], self._clock.now()
        self._sweep(now)
        # A gateway numbers its operations as they begin.
        self._sequences.saw(sender, sequence, now)
        return self._sequences.expired(sender, sequence, now)

    def issued(self, node_id: int, counter: int) -> None:
        """Record that a node, this one or a peer, has issued ballots up to `counter`."""
        self._ballots.saw(node_id, counter, self._clock.now())

    def saw(self, version: Version) -> None:
        """As `Retention.saw`."""
        now = self._clock.now()
        for counter, node_id in version:
            self._ballots.saw(node_id, counter, now)

    def expired(self, ballot: Dot) -> bool:
        """As `Retention.expired`."""
        return self._ballots.expired(ballot.node, ballot.counter, self._clock.now())

    def room(self, state: State) -> int:
        """Return how many more keyed operations `state` can take; it may have too many already."""
        if not state.keyed:
            return MAX_KEYED_ENTRIES
        self.saw(state.version)
        return MAX_KEYED_ENTRIES - keyed_log.count(keyed_log.trimmed(state.keyed, self.expired))

    def full_for_s(self, state: State) -> int | None:
        """Return the whole seconds until `state` has room for one more keyed operation.

        Returns None if it has room now.
        """
        if len(state.keyed) < MAX_KEYED_ENTRIES * keyed_log.ENTRY_BYTES:
            return None
        self.saw(state.version)
        keyed = keyed_log.trimmed(state.keyed, self.expired)
        if keyed_log.count(keyed) < MAX_KEYED_ENTRIES:
            return None
        counter, node_id = keyed_log.oldest(keyed)
        return math.ceil(self._ballots.left_s(node_id, counter, self._clock.now()) + 0.001)

    def full_for_operation_s(self, state: State, operation: Operation | None) -> int | None:
        """Return the whole seconds until `state` has room for `operation`.

        Returns None if it has room now or needs none. It needs none for no operation, for one
        without a fingerprint, and for one that the state remembers.
        """
        if operation is None or not operation.fingerprint:
            return None
        full_for_s = self.full_for_s(state)
        return full_for_s if full_for_s is None or remembered(state, operation) is None else None

    def expired_ballots(self) -> dict[int, int]:
        """Return by node id the greatest counter that is older than the window of a key."""
        return self._ballots.all_expired(self._clock.now())

    def learn_expired(self, ballots: dict[int, int]) -> None:
        """Take over a peer's `expired_ballots`. Expiry holds on every node, for ever."""
        for node_id, counter in ballots.items():
            self._ballots.learn(node_id, counter)

    def _sweep(self, now: float) -> None:
        """Drop the gateways that have been silent for a window."""
        if now - self._swept_at > GATEWAY_WINDOW_S:
            self._swept_at = now
            # All in one pass, since a cluster has only a few gateways.
            self._low = {
                sender: (low, reported_at)
                for sender, (low, reported_at) in self._low.items()
                if now - reported_at < GATEWAY_WINDOW_S
            }

    def __repr__(self) -> str:
        return (
            f"<DedupWindow {len(self._low)} gateways, sequences {self._sequences!r},"
            f" ballots {self._ballots!r}>"
        )
