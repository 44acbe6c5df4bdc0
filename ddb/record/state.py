"""The state of a record in one node, and the pure step to the next state."""

from typing import Protocol

import msgspec

from ddb.record import keyed_log
from ddb.record.change import DONE, NOTHING, Change, Outcome, evaluate
from ddb.record.keyed_log import DIGEST_BYTES
from ddb.record.version import NEVER, Dot, Version, advance, join

OPERATION_BYTES = 12
"""Bytes of an operation's id, on disk and on the wire."""


class DamagedState(Exception):
    """Bytes that are no state of this format; the replica must not guess their meaning."""


class Operation(msgspec.Struct, frozen=True, gc=False):
    """A client operation's identity, the same in all its attempts.

    `id`: 12 bytes. Without an Idempotency-Key, they are the gateway's id and a sequence number, 6
    bytes each. With one, they are a digest of the key. `fingerprint`: 4 bytes of the request's
    digest if there is an Idempotency-Key, else empty.
    """

    id: bytes
    fingerprint: bytes = b""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An operation without an Idempotency-Key that this state includes, and its outcome."""

    operation: Operation
    outcome: Outcome


class State(msgspec.Struct, frozen=True):
    """The state of one record in one node.

    `live`: True for a record, False for a tombstone or an absent record. `body`: the JSON of a live
    record. A tombstone with a log keeps the last live body, which retries of keyed operations need.
    Other tombstones have an empty body. `recent`: operations without an Idempotency-Key.
    `keyed`: the log of the others.
    """

    version: Version = ()
    live: bool = False
    body: bytes = b""
    recent: tuple[Entry, ...] = ()
    keyed: bytes = b""

    @property
    def newest(self) -> Dot:
        """The ballot under which nodes accepted this state."""
        return self.version[0] if self.version else NEVER

    @property
    def value(self) -> bytes | None:
        """The record's body; None if there is no record."""
        return self.body if self.live else None

    def recall(self, operation: Operation) -> Outcome | None:
        """Return the outcome of `operation`; None if this state does not include it.

        Raises `DamagedState`.
        """
        if operation.fingerprint:
            if not self.keyed:
                return None
            try:
                return keyed_log.recalled(self.keyed, digest_of(operation), operation.fingerprint)
            except ValueError as error:
                raise DamagedState(f"damaged log of {len(self.keyed)} bytes") from error
        for entry in reversed(self.recent):
            if entry.operation.id == operation.id:
                return entry.outcome
        return None

    def __repr__(self) -> str:
        kind = f"{len(self.body)} bytes" if self.live else "tombstone" if self.version else "absent"
        return (
            f"<State {self.newest!r} {kind}, {len(self.version)} dots, {len(self.recent)} recent,"
            f" {len(self.keyed)} bytes of keyed>"
        )


ABSENT = State()
"""The state of a record that a node has never stored."""


class Retention(Protocol):
    """Decides which operations no client can retry any more."""

    def forgettable(self, entry: Entry) -> bool:
        """Return True if no attempt at the operation can arrive any more."""
        ...

    def saw(self, version: Version) -> None:
        """Record that coordinators issued these ballots before now."""
        ...

    def expired(self, ballot: Dot) -> bool:
        """Return True if `ballot` is older than the dedup window."""
        ...


class Step(msgspec.Struct, frozen=True):
    """One evaluation of an operation; it takes effect if two nodes store `state`.

    `recalled`: True if the operation ended in an earlier round, which gave `outcome`. False: this
    round gives it.
    """

    outcome: Outcome
    state: State
    recalled: bool = False


class Intent(msgspec.Struct, frozen=True):
    """A change, with the operation that it belongs to.

    `operation`: None for a change that no client requested. `record_refusal`: True if an earlier
    attempt may still arrive, so the state must also include a refusal. False: a refusal leaves no
    entry. `proposed`: True if a peer may have stored a proposal of this very attempt. It then needs
    no room in the log. False if no peer has.
    """

    change: Change
    operation: Operation | None
    record_refusal: bool = False
    proposed: bool = False


SETTLE = Intent(Change(NOTHING), None)
"""The intent of a round that changes no value.

The round gives the present value a new ballot, so that no older round can replace it.
"""


def step(
    base: State,
    other: State,
    intent: Intent,
    ballot: Dot,
    retention: Retention,
) -> Step:
    """Return the next state.

    Raises `DamagedState` if the change needs the body of `base`, which is not JSON.

    Args:
        base: The newer of the two states that a round read.
        other: The older one, or `base` itself. The result is AHEAD of both.
        intent: The change.
        ballot: The ballot of this round.
        retention: Decides which operations the result still includes.
    """
    operation = intent.operation
    earlier = None if operation is None else base.recall(operation)
    return evaluated(renewed(base, other, ballot, retention), intent, ballot, earlier)


def renewed(base: State, other: State, ballot: Dot, retention: Retention) -> State:
    """Return `base` as a round begins to change it; the arguments are as for `step`.

    It has the version of the round, and no operations that are forgettable or expired.
    """
    joined = base.version if other is base else join(base.version, other.version)
    version = advance(joined, ballot)
    recent = tuple([entry for entry in base.recent if not retention.forgettable(entry)])
    keyed = base.keyed
    if keyed:
        # The version has each coordinator's newest ballot. No slice has a newer one.
        retention.saw(joined)
        keyed = keyed_log.trimmed(keyed, retention.expired)
    return State(version, base.live, base.body, recent, keyed)


def evaluated(base: State, intent: Intent, ballot: Dot, earlier: Outcome | None) -> Step:
    """Evaluate `intent` on a state that has the version of the round already.

    Raises `DamagedState` as `step`.

    Args:
        base: The state before the change.
        intent: The change.
        ballot: The ballot of the round.
        earlier: The outcome that the record remembers for the operation. None: it has none.
    """
    version, recent, keyed = base.version, base.recent, base.keyed
    if earlier is not None:
        return Step(earlier, _carried(base, version, recent, keyed), True)
    operation = intent.operation
    try:
        effect = evaluate(intent.change, base.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedState(f"the body of {len(base.body)} bytes is not JSON: {error}") from error
    if operation and (effect.outcome is DONE or intent.record_refusal):
        if operation.fingerprint:
            named = digest_of(operation), operation.fingerprint
            keyed = keyed_log.appended(keyed, *named, effect.outcome, ballot)
        else:
            recent = (*recent, Entry(operation, effect.outcome))
    if effect.outcome is not DONE or intent.change.kind is NOTHING:
        return Step(effect.outcome, _carried(base, version, recent, keyed))
    if effect.body is None:
        return Step(effect.outcome, _tombstone(base, version, recent, keyed))
    return Step(effect.outcome, State(version, True, effect.body, recent, keyed))


def digest_of(operation: Operation) -> bytes:
    """Return the part of a keyed operation's id that the log has."""
    return operation.id[:DIGEST_BYTES]


def _carried(base: State, version: Version, recent: tuple[Entry, ...], keyed: bytes) -> State:
    """Return `base` with the same value and a new version."""
    if base.live:
        return State(version, True, base.body, recent, keyed)
    return _tombstone(base, version, recent, keyed)


def _tombstone(base: State, version: Version, recent: tuple[Entry, ...], keyed: bytes) -> State:
    return State(version, False, base.body if keyed else b"", recent, keyed)


def remembered(state: State, operation: Operation) -> Outcome | None:
    """Return the outcome of `operation` in `state`; None if the state does not include it."""
    return state.recall(operation)
