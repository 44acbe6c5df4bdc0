"""Combined changes: several intents that one round decides, in their order.

The result is the same as if each intent had a round of its own, one after the other. Only the
version differs: all of them share the ballot of their round.
"""

from collections.abc import Iterable

import msgspec

from ddb.record.change import Outcome
from ddb.record.state import Intent, Operation, Retention, State, Step, evaluated, renewed
from ddb.record.version import Dot


class Combined(msgspec.Struct, frozen=True):
    """The evaluation of several intents; they take effect if two nodes store `state`.

    `steps`: by intent, its outcome and the state right after it. None: the log has no room for its
    operation. Such an intent leaves no trace.
    """

    state: State
    steps: tuple[Step | None, ...]


def combine(
    base: State,
    other: State,
    intents: Iterable[Intent],
    ballot: Dot,
    retention: Retention,
    room: int,
) -> Combined:
    """Evaluate each intent on the state that the intents before it leave.

    Raises `DamagedState` as `step`.

    Args:
        base: The newer of the two states that a round read.
        other: The older one, or `base` itself.
        intents: The changes, in order of arrival.
        ballot: The ballot of this round.
        retention: Decides which operations of `base` the result still includes.
        room: Keyed operations that the log of `base` can still take. An intent that a peer may
            have stored needs none.
    """
    state = renewed(base, other, ballot, retention)
    outcomes = {entry.operation.id: entry.outcome for entry in base.recent}
    steps: list[Step | None] = []
    for intent in intents:
        operation = intent.operation
        earlier = None if operation is None else _recalled(base, state, outcomes, operation)
        if operation is not None and operation.fingerprint and earlier is None:
            if room <= 0 and not intent.proposed:
                steps.append(None)
                continue
            room -= 1
        made = evaluated(state, intent, ballot, earlier)
        if operation is not None and len(made.state.recent) > len(state.recent):
            outcomes[operation.id] = made.outcome
        state = made.state
        steps.append(made)
    return Combined(state, tuple(steps))


def _recalled(
    base: State, state: State, outcomes: dict[bytes, Outcome], operation: Operation
) -> Outcome | None:
    """Return the outcome of `operation` before the round or earlier in it; None: it has none.

    Args:
        base: The state before the round. It has operations that `state` may have dropped.
        state: The state right before this operation.
        outcomes: The operations without an Idempotency-Key of both, by id.
        operation: The operation.
    """
    if not operation.fingerprint:
        return outcomes.get(operation.id)
    earlier = base.recall(operation)
    return state.recall(operation) if earlier is None else earlier
