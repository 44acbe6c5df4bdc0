"""A pending change: one change that a round decides, alone or together with others."""

from collections.abc import Iterable

import msgspec

from ddb.node.consensus.quorum_peers import Expired
from ddb.record.state import Intent, Step


class KeyedLogFull(Exception):
    """The record remembers too many keyed operations. The operation was not begun."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            f"the record has no room for one more keyed operation, and nothing changed; the oldest"
            f" ones expire in {retry_after_s} s: retry then"
        )
        self.retry_after_s = retry_after_s


Result = Step | Expired | KeyedLogFull
"""The end of a change: the step that two nodes store, or the reason why none decided it."""


class PendingChange(msgspec.Struct, eq=False):
    """One change on its way to its result.

    `deadline`: by the steady clock, in seconds. No message carries the change later: its gateway
    may then tell that no attempt is in flight. `result`: None until the change ends.
    """

    intent: Intent
    deadline: float
    result: Result | None = None

    @property
    def in_doubt(self) -> bool:
        """Whether an attempt at the operation may have taken effect, or may still do so."""
        return self.intent.record_refusal

    def doubt(self, *, proposed: bool) -> None:
        """Note that an attempt at the operation may have taken effect.

        `proposed`: True if a peer may have stored a proposal that covers this change. This concerns
        a refusal, too: its outcome depends on the changes before it. False if another attempt may.
        """
        proposed = proposed or self.intent.proposed
        self.intent = Intent(self.intent.change, self.intent.operation, True, proposed)

    def expire(self, reason: str) -> None:
        """End the change without a decision."""
        self.result = Expired(self.in_doubt, reason)

    def step(self) -> Step:
        """Return the step that decided the change. Raises its failure otherwise."""
        if not isinstance(self.result, Step):
            raise self.result or AssertionError("the change has not ended")
        return self.result

    def __repr__(self) -> str:
        return f"<PendingChange {self.intent.change.kind.name}: {self.result!r}>"


def expire(changes: Iterable[PendingChange], reason: str) -> None:
    """End changes without a decision, each with its own doubt."""
    for change in changes:
        change.expire(reason)


def in_time(changes: Iterable[PendingChange], now: float) -> list[PendingChange]:
    """End the changes whose deadline has passed, and return the others in order."""
    left = []
    for change in changes:
        if now >= change.deadline:
            change.expire("no peer replied in time")
        else:
            left.append(change)
    return left
