"""A record's state as one node holds it, and the one pure step that makes the next state.

At rest and on the wire a state is a small binary header and then the body, so that a body whose
replicas agree travels from disk to client untouched:

    flags            1 byte    format in the high nibble, LIVE in bit 0, LOGGED in bit 1, others 0
    dots             1 byte    how many, newest first; each 8 bytes counter, 4 bytes node id
    recent           2 bytes   how many, oldest first; each 13 bytes
    keyed            4 bytes   where LOGGED: length of the log (`keyed_log`), which follows
    body             the rest  JSON; of a tombstone, see `State.body`

All integers are big-endian. An earlier layout lists keyed entries among the recent ones, 17 bytes
each. `decode` reads it, and makes a log of them.
"""

import struct
from typing import Protocol

import msgspec

from ddb.record import keyed_log
from ddb.record.change import Change, Kind, Outcome, evaluate
from ddb.record.keyed_log import DIGEST_BYTES, FINGERPRINT_BYTES
from ddb.record.version import NEVER, Dot, Version, advance, join

FORMAT = 0x10
LIVE = 0x01
LOGGED = 0x02
KEYED = 0x80
"""Of an entry among the recent ones, in states of the older layout."""
OPERATION_BYTES = 12

_DOT = struct.Struct(">QI")
_COUNT = struct.Struct(">H")
_LENGTH = struct.Struct(">I")
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
    effect = evaluate(intent.change, base.value)
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


def encode(state: State) -> bytes:
    """The bytes of a state, as stored and as sent."""
    keyed = state.keyed
    flags = FORMAT | (LIVE if state.live else 0) | (LOGGED if keyed else 0)
    parts = [bytes((flags, len(state.version)))]
    parts += [_DOT.pack(*dot) for dot in state.version]
    parts.append(_COUNT.pack(len(state.recent)))
    for entry in state.recent:
        parts += (bytes((entry.outcome,)), entry.operation.id)
    if keyed:
        parts += (_LENGTH.pack(len(keyed)), keyed)
    parts.append(state.body)
    return b"".join(parts)


def decode(data: bytes) -> State:
    """The state that `encode` wrote. Raises `DamagedState`; empty bytes are `ABSENT`."""
    if not data:
        return ABSENT
    flags = data[0]
    try:
        if flags & ~(LIVE | LOGGED) != FORMAT:
            raise DamagedState(f"unknown format byte {flags:#04x}")
        at = 2 + data[1] * _DOT.size
        version = tuple(map(Dot._make, _DOT.iter_unpack(data[2:at])))
        (count,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        recent, older = [], b""
        for _ in range(count):
            flag = data[at]
            start, at = at + 1, at + 1 + OPERATION_BYTES
            outcome = _OUTCOMES[flag & ~KEYED]
            if flag & KEYED:
                digest = data[start : start + DIGEST_BYTES]
                start, at = at, at + FINGERPRINT_BYTES
                older += b"%b%b%c" % (digest, data[start:at], outcome)
            else:
                recent.append(Entry(Operation(data[start:at]), outcome))
        keyed = keyed_log.migrated(older, version[0] if version else NEVER) if older else b""
        if flags & LOGGED:
            start = at + _LENGTH.size
            at = start + _LENGTH.unpack_from(data, at)[0]
            keyed += data[start:at]
            keyed_log.count(keyed)
    except (IndexError, ValueError, struct.error) as error:
        raise DamagedState(f"truncated or damaged state of {len(data)} bytes") from error
    if at > len(data):
        raise DamagedState(f"truncated state of {len(data)} bytes")
    return State(version, bool(flags & LIVE), data[at:], tuple(recent), keyed)


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
    at = _log_start(data)
    if data[0] & LOGGED:
        at += _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
    return data[at:]


def without_log(data: bytes) -> bytes:
    """An encoded state without its log of keyed operations; for those who only read it."""
    if not data or not data[0] & LOGGED:
        return data
    at = _log_start(data)
    end = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
    return b"%c%b%b" % (data[0] & ~LOGGED, data[1:at], data[end:])


def _log_start(data: bytes) -> int:
    at = 2 + data[1] * _DOT.size
    (count,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    for _ in range(count):
        at += 1 + OPERATION_BYTES + (FINGERPRINT_BYTES if data[at] & KEYED else 0)
    return at
