"""How long a record remembers the operations behind it, without trusting any wall clock.

A state carries the operations that may still be retried. A gateway reports which of its own are
over (`Do.low`). Those of a silent gateway, and those that clients name, expire by this node's
steady clock: a whole window after the node saw a later number of the same gateway, or a later
ballot of the same coordinator (`issue_log`). A node that restarts learns from its peers what has
expired. To forget late is harmless, to forget early is not.
"""

import math

from ddb.node.consensus.issue_log import IssueLog
from ddb.record import keyed_log
from ddb.record.state import Entry, Retention, State
from ddb.record.version import Dot, Version
from ddb.wire.ports import Clock

KEYED_WINDOW_S = 600.0
"""Seconds that a client's Idempotency-Key holds."""
GATEWAY_WINDOW_S = 60.0
"""Seconds after which the requests of a gateway not heard of are certainly dead."""
ISSUE_GRAIN_S = 10.0
"""Seconds between two marks of one issuer's counters. Lower: more memory than 60 marks apiece.
Higher: records remember what has expired for so much longer."""
MAX_KEYED_ENTRIES = 4096
"""Client-named operations that one record remembers; beyond that it refuses a new one. They take
52 KiB of the state, which every change of the record sends and stores. Lower: the record takes
fewer than 6 of them a second all day long. Higher: each of its changes costs more."""
SENDER_BYTES = 6


class DedupWindow(Retention):
    """What this node knows about the operations that can still come again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._low: dict[bytes, tuple[int, float]] = {}
        self._swept = clock.now()
        self._sequences = IssueLog[bytes](GATEWAY_WINDOW_S, ISSUE_GRAIN_S)
        self._ballots = IssueLog[int](KEYED_WINDOW_S, ISSUE_GRAIN_S)

    def heard(self, sender: bytes, low: int) -> None:
        """A gateway said that its operations below `low` are over."""
        known = self._low.get(sender)
        self._low[sender] = (max(low, known[0]) if known else low, self._clock.now())

    def forgettable(self, entry: Entry) -> bool:
        """As `Retention.forgettable`."""
        name = entry.operation.id
        sequence = int.from_bytes(name[SENDER_BYTES:], "big")
        known = self._low.get(name[:SENDER_BYTES])
        if known is not None:
            return sequence < known[0]
        sender, now = name[:SENDER_BYTES], self._clock.now()
        self._sweep(now)
        # A gateway numbers its operations as they begin.
        self._sequences.saw(sender, sequence, now)
        return self._sequences.expired(sender, sequence, now)

    def issued(self, node_id: int, counter: int) -> None:
        """A node, this one or a peer, has issued ballots up to `counter` by now."""
        self._ballots.saw(node_id, counter, self._clock.now())

    def saw(self, version: Version) -> None:
        """As `Retention.saw`."""
        now = self._clock.now()
        for counter, node_id in version:
            self._ballots.saw(node_id, counter, now)

    def expired(self, ballot: Dot) -> bool:
        """As `Retention.expired`."""
        return self._ballots.expired(ballot.node, ballot.counter, self._clock.now())

    def full_for_s(self, state: State) -> int | None:
        """Whole seconds until `state` has room for one more keyed operation, None where it has."""
        if len(state.keyed) < MAX_KEYED_ENTRIES * keyed_log.ENTRY_BYTES:
            return None
        self.saw(state.version)
        keyed = keyed_log.trimmed(state.keyed, self.expired)
        if keyed_log.count(keyed) < MAX_KEYED_ENTRIES:
            return None
        counter, node_id = keyed_log.oldest(keyed)
        return math.ceil(self._ballots.left_s(node_id, counter, self._clock.now()) + 0.001)

    def expired_ballots(self) -> dict[int, int]:
        """For each node id the greatest counter known to be older than a key's window."""
        return self._ballots.all_expired(self._clock.now())

    def learn_expired(self, ballots: dict[int, int]) -> None:
        """A peer's `expired_ballots`: true at any node, and ever after."""
        for node_id, counter in ballots.items():
            self._ballots.learn(node_id, counter)

    def _sweep(self, now: float) -> None:
        if now - self._swept > GATEWAY_WINDOW_S:
            self._swept = now
            # All at once, as there are only ever a few gateways.
            self._low = {
                sender: known
                for sender, known in self._low.items()
                if now - known[1] < GATEWAY_WINDOW_S
            }

    def __repr__(self) -> str:
        return (
            f"<Memory {len(self._low)} gateways, sequences {self._sequences!r},"
            f" ballots {self._ballots!r}>"
        )
