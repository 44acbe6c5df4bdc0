"""A record's state as one node holds it, and the one pure step that makes the next state."""

from typing import Protocol

import msgspec

from ddb.record import keyed_log
from ddb.record.change import Change, Kind, Outcome, evaluate
from ddb.record.keyed_log import DIGEST_BYTES
from ddb.record.version import NEVER, Dot, Version, advance, join

OPERATION_BYTES = 12


class DamagedState(Exception):
    """Bytes that are no state of this format; the replica must not guess what they meant."""


class Operation(msgspec.Struct, frozen=True, gc=False):
    """A client operation's identity, the same in every attempt at it.

    `id` is 12 bytes: the gateway's 6-byte id and its 6-byte sequence number, or where the client
    named the operation itself (`fingerprint` is then 4 bytes of the request's digest) a digest of
    its Idempotency-Key.
    """

    id: bytes
    fingerprint: bytes = b""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A gateway's operation that this state has behind it, and how it ended."""

    operation: Operation
    outcome: Outcome


class State(msgspec.Struct, frozen=True):
    """What one node holds of one record.

    `body` is the JSON of a live record. A tombstone's is empty, except that while operations
    named by their clients are remembered it keeps the last live body, to answer their retries.
    `recent` are the operations that gateways named, `keyed` is the log of the others.
    """

    version: Version = ()
    live: bool = False
    body: bytes = b""
    recent: tuple[Entry, ...] = ()
    keyed: bytes = b""

    @property
    def newest(self) -> Dot:
        """The ballot under which this state was accepted."""
        return self.version[0] if self.version else NEVER

    @property
    def value(self) -> bytes | None:
        """The record's body, or None where there is no record."""
        return self.body if self.live else None

    def recall(self, operation: Operation) -> Outcome | None:
        """How `operation` ended if it took effect, or was refused, before this state."""
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
"""A record that a node has never seen."""


class Retention(Protocol):
    """Tells which remembered operations can no longer be retried."""

    def forgettable(self, entry: Entry) -> bool:
        """Whether no attempt at a gateway's operation can arrive any more."""
        ...

    def saw(self, version: Version) -> None:
        """Take note that these ballots were issued before now."""
        ...

    def expired(self, ballot: Dot) -> bool:
        """Whether `ballot` was issued longer ago than an Idempotency-Key is remembered."""
        ...


class Step(msgspec.Struct, frozen=True):
    """One evaluation of an operation: how it ends and the state it leaves, if two nodes hold it.

    `recalled`: it ended before this round, and the outcome is the one of then.
    """

    outcome: Outcome
    state: State
    recalled: bool = False


class Intent(msgspec.Struct, frozen=True):
    """What a coordinator wants of a record: a change, whose, and how to remember it.

    `record_refusal`: an earlier attempt may still be on its way, so a refusal must leave a trace.
    """

    change: Change
    operation: Operation | None
    record_refusal: bool = False


SETTLE = Intent(Change(Kind.NOTHING), None)
"""A round that changes nothing: it gives what it finds a ballot that nothing older can undo."""


def step(
    base: State,
    other: State,
    intent: Intent,
    ballot: Dot,
    retention: Retention,
) -> Step:
    """The next state after `base`, the newer of the two states that a round found.

    Raises `DamagedState` where the change needs the base's body and that cannot be decoded.

    `other` is the state it wins over (or `base` itself): its dots are joined so that the result
    dominates both. `retention` tells which remembered operations can no longer be retried.
    """
    seen = base.version if other is base else join(base.version, other.version)
    version = advance(seen, ballot)
    recent = tuple([entry for entry in base.recent if not retention.forgettable(entry)])
    keyed = base.keyed
    if keyed:
        # A version has the newest ballot of every coordinator, so no slice's is newer.
        retention.saw(seen)
        keyed = keyed_log.trimmed(keyed, retention.expired)
    operation = intent.operation
    known = None if operation is None else base.recall(operation)
    if known is not None:
        return Step(known, _carried(base, version, recent, keyed), True)
    try:
        effect = evaluate(intent.change, base.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedState(f"the body of {len(base.body)} bytes is not JSON: {error}") from error
    if operation and (effect.outcome is Outcome.DONE or intent.record_refusal):
        if operation.fingerprint:
            named = digest_of(operation), operation.fingerprint
            keyed = keyed_log.appended(keyed, *named, effect.outcome, ballot)
        else:
            recent = (*recent, Entry(operation, effect.outcome))
    if effect.outcome is not Outcome.DONE or intent.change.kind is Kind.NOTHING:
        return Step(effect.outcome, _carried(base, version, recent, keyed))
    if effect.body is None:
        return Step(effect.outcome, _tombstone(base, version, recent, keyed))
    return Step(effect.outcome, State(version, True, effect.body, recent, keyed))


def digest_of(operation: Operation) -> bytes:
    """As much of a keyed operation's id as a state remembers."""
    return operation.id[:DIGEST_BYTES]


def _carried(base: State, version: Version, recent: tuple[Entry, ...], keyed: bytes) -> State:
    """`base` with its value as it is."""
    if base.live:
        return State(version, True, base.body, recent, keyed)
    return _tombstone(base, version, recent, keyed)


def _tombstone(base: State, version: Version, recent: tuple[Entry, ...], keyed: bytes) -> State:
    return State(version, False, base.body if keyed else b"", recent, keyed)


def remembered(state: State, operation: Operation) -> Outcome | None:
    """How `operation` ended according to `state`, or None where it has not been decided there."""
    return state.recall(operation)
