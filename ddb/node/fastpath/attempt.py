"""An attempt: one change in flight on the fast path, from its proposal to its answer."""

import msgspec

from ddb.node.consensus.open_rounds import Round
from ddb.node.consensus.pending_change import KeyedLogFull, Result
from ddb.node.consensus.quorum_peers import Expired
from ddb.node.fastpath.fallback import Answer
from ddb.record.change import DELETE, DONE, Change, Kind, Outcome
from ddb.record.state import Intent, Operation, State, Step
from ddb.wire.messages import ChangeResult, CoordinateChange, LogFull, Reply, Undecided


class Attempt(msgspec.Struct, eq=False):
    """One change in flight, as the callbacks of its replies need it."""

    request: CoordinateChange
    peer: str
    """The node that the coordinator asks."""
    deadline: float
    """By the steady clock, in seconds."""
    answer: Answer
    """The future that the gateway waits for."""
    round: Round
    base: bytes
    """The own copy, encoded; the state that `made` builds on."""
    made: Step
    """The outcome and the proposed state."""
    raw: bytes
    """The proposed state, encoded."""

    def __repr__(self) -> str:
        return f"<Attempt on {self.request.key!r} with {self.peer}>"


def change_of(request: CoordinateChange) -> tuple[Change, Operation]:
    """Return the change of a request, and the operation's identity."""
    change = Change(request.kind, request.body, request.match)
    return change, Operation(request.operation, request.fingerprint)


def intent_of(request: CoordinateChange) -> Intent:
    """Return the intent of a request's first attempt."""
    # A client may have sent a keyed request before, so the state records its refusal.
    return Intent(*change_of(request), bool(request.fingerprint))


def result_of(kind: Kind, outcome: Outcome, state: State) -> Reply:
    """Return the reply to a change with this outcome and this state after it."""
    if outcome is not DONE:
        return ChangeResult(outcome, state.value)
    if kind is DELETE:
        return ChangeResult(outcome, None)
    # A tombstone keeps the body for the retry of a create or update that came before the deletion.
    return ChangeResult(outcome, state.body or None)


def reply_to(request: CoordinateChange, result: Result | None) -> Reply:
    """Return the reply to a request that the coordinator has decided or given up."""
    if isinstance(result, Step):
        return result_of(request.kind, result.outcome, result.state)
    if isinstance(result, KeyedLogFull):
        return LogFull(result.retry_after_s)
    if isinstance(result, Expired):
        return Undecided(result.in_doubt, str(result))
    raise AssertionError("the coordinator returned without a result")
