"""A record's state as one node holds it, and the one pure step that makes the next state.

At rest and on the wire a state is a small binary header and then the body, so that a body whose
replicas agree travels from disk to client untouched:

    flags            1 byte    format in the high nibble, LIVE in bit 0, the others 0
    dots             1 byte    how many, newest first; each 8 bytes counter, 4 bytes node id
    recent           2 bytes   how many, oldest first; each 13 bytes, or 17 where keyed
    body             the rest  JSON; of a tombstone, see `State.body`

All integers are big-endian.
"""

import struct
from collections.abc import Callable

import msgspec

from ddb.record.change import Change, Kind, Outcome, evaluate
from ddb.record.version import NEVER, Dot, Version, advance, join

FORMAT = 0x10
LIVE = 0x01
KEYED = 0x80
OPERATION_BYTES = 12
FINGERPRINT_BYTES = 4

_DOT = struct.Struct(">QI")
_COUNT = struct.Struct(">H")
NEWEST = slice(2, 2 + _DOT.size)
"""Where the newest dot lies in an encoded state that is not empty.

Compared as bytes, newest dots are in the same order as compared as dots.
"""
HEAD = slice(0, NEWEST.stop)
"""As much of an encoded state as tells its newest dot and whether it lives."""
_OUTCOMES = tuple(sorted(Outcome))


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
    """An operation that this state has behind it, and how it ended."""

    operation: Operation
    outcome: Outcome


class State(msgspec.Struct, frozen=True):
    """What one node holds of one record.

    `body` is the JSON of a live record. A tombstone's is empty, except that while operations
    named by their clients are remembered it keeps the last live body, to answer their retries.
    """

    version: Version = ()
    live: bool = False
    body: bytes = b""
    recent: tuple[Entry, ...] = ()

    @property
    def newest(self) -> Dot:
        """The ballot under which this state was accepted."""
        return self.version[0] if self.version else NEVER

    @property
    def value(self) -> bytes | None:
        """The record's body, or None where there is no record."""
        return self.body if self.live else None

    def recall(self, operation: Operation) -> Entry | None:
        """What became of `operation` if it took effect, or was refused, before this state."""
        for entry in reversed(self.recent):
            if entry.operation.id == operation.id:
                return entry
        return None

    def __repr__(self) -> str:
        kind = f"{len(self.body)} bytes" if self.live else "tombstone" if self.version else "absent"
        return (
            f"<State {self.newest!r} {kind}, {len(self.version)} dots, {len(self.recent)} recent>"
        )


ABSENT = State()
"""A record that a node has never seen."""


class Step(msgspec.Struct, frozen=True):
    """One evaluation of an operation: how it ends and the state it leaves, if two nodes hold it."""

    outcome: Outcome
    state: State


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
    forget: Callable[[Entry], bool],
) -> Step:
    """The next state after `base`, the newer of the two states that a round found.

    Raises `DamagedState` where the change needs the base's body and that cannot be decoded.

    `other` is the state it wins over (or `base` itself): its dots are joined so that the result
    dominates both. `forget` tells which remembered operations can no longer be retried.
    """
    seen = base.version if other is base else join(base.version, other.version)
    version = advance(seen, ballot)
    recent = tuple([entry for entry in base.recent if not forget(entry)])
    known = base.recall(intent.operation) if intent.operation and base.recent else None
    if known is not None:
        outcome = _recalled(known, intent.operation)
        return Step(outcome, _carried(base, version, recent))
    try:
        effect = evaluate(intent.change, base.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedState(f"the body of {len(base.body)} bytes is not JSON: {error}") from error
    if intent.operation and (effect.outcome is Outcome.DONE or intent.record_refusal):
        recent = (*recent, Entry(intent.operation, effect.outcome))
    if effect.outcome is not Outcome.DONE or intent.change.kind is Kind.NOTHING:
        return Step(effect.outcome, _carried(base, version, recent))
    if effect.body is None:
        return Step(effect.outcome, _tombstone(base, version, recent))
    return Step(effect.outcome, State(version, True, effect.body, recent))


def _carried(base: State, version: Version, recent: tuple[Entry, ...]) -> State:
    """`base` with its value as it is."""
    if base.live:
        return State(version, True, base.body, recent)
    return _tombstone(base, version, recent)


def _tombstone(base: State, version: Version, recent: tuple[Entry, ...]) -> State:
    keyed = any(entry.operation.fingerprint for entry in recent)
    return State(version, False, base.body if keyed else b"", recent)


def _recalled(known: Entry, operation: Operation | None) -> Outcome:
    if operation and known.operation.fingerprint != operation.fingerprint:
        return Outcome.REUSED
    return known.outcome


def remembered(state: State, operation: Operation) -> Outcome | None:
    """How `operation` ended according to `state`, or None where it has not been decided there."""
    known = state.recall(operation)
    return None if known is None else _recalled(known, operation)


def encode(state: State) -> bytes:
    """The bytes of a state, as stored and as sent."""
    parts = [bytes((FORMAT | (LIVE if state.live else 0), len(state.version)))]
    parts += [_DOT.pack(*dot) for dot in state.version]
    parts.append(_COUNT.pack(len(state.recent)))
    for entry in state.recent:
        flag = KEYED if entry.operation.fingerprint else 0
        parts += (bytes((flag | entry.outcome,)), entry.operation.id, entry.operation.fingerprint)
    parts.append(state.body)
    return b"".join(parts)


def decode(data: bytes) -> State:
    """The state that `encode` wrote. Raises `DamagedState`; empty bytes are `ABSENT`."""
    if not data:
        return ABSENT
    try:
        if data[0] & ~LIVE != FORMAT:
            raise DamagedState(f"unknown format byte {data[0]:#04x}")
        at = 2 + data[1] * _DOT.size
        version = tuple(map(Dot._make, _DOT.iter_unpack(data[2:at])))
        (count,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        recent = []
        for _ in range(count):
            flag = data[at]
            start, at = at + 1, at + 1 + OPERATION_BYTES
            operation_id = data[start:at]
            fingerprint = b""
            if flag & KEYED:
                start, at = at, at + FINGERPRINT_BYTES
                fingerprint = data[start:at]
            outcome = _OUTCOMES[flag & ~KEYED]
            recent.append(Entry(Operation(operation_id, fingerprint), outcome))
    except (IndexError, ValueError, struct.error) as error:
        raise DamagedState(f"truncated or damaged state of {len(data)} bytes") from error
    if at > len(data):
        raise DamagedState(f"truncated state of {len(data)} bytes")
    return State(version, bool(data[0] & LIVE), data[at:], tuple(recent))


def peek(data: bytes | None) -> Dot:
    """The newest dot of an encoded state, without decoding the rest. Raises `DamagedState`."""
    if not data:
        return NEVER
    try:
        # Asked several times per request, so made without the class's own constructor.
        return tuple.__new__(Dot, _DOT.unpack_from(data, 2)) if data[1] else NEVER
    except (IndexError, struct.error) as error:
        raise DamagedState(f"truncated state of {len(data)} bytes") from error


def is_live(data: bytes | None) -> bool:
    """Whether an encoded state is a record rather than a tombstone or nothing."""
    return bool(data) and bool(data[0] & LIVE) if data else False


def body_of(data: bytes) -> bytes:
    """The body of an encoded state, skipping over the header."""
    at = 2 + data[1] * _DOT.size
    (count,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    for _ in range(count):
        at += 1 + OPERATION_BYTES + (FINGERPRINT_BYTES if data[at] & KEYED else 0)
    return data[at:]
