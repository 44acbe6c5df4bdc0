"""Changes: requests to change one record, and their outcomes.

A change is a pure function from a record's body to its next body, as in CASPaxos (Rystsov 2018).
The coordinator may evaluate it several times, on several base states. Only the evaluation that two
nodes store takes effect.
"""

import hashlib
from enum import IntEnum

import msgspec

Fields = dict[str, object]

_decode = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode


class Kind(IntEnum):
    """The operation that a change performs on its record."""

    CREATE = 1
    UPDATE = 2
    DELETE = 3
    NOTHING = 4
    """Gives the record a new ballot and leaves its value unchanged."""


class Outcome(IntEnum):
    """The result of an operation. Every result except `DONE` changed nothing."""

    DONE = 0
    ABSENT = 1
    """An UPDATE or DELETE found no record."""
    EXISTS = 2
    """A CREATE found a record."""
    MISMATCH = 3
    """If-Match named another value than the record's."""
    REUSED = 4
    """The client's Idempotency-Key already names a different request on this record."""


# Each change compares with these a dozen times. To read a member from its class costs 80 ns.
DONE = Outcome.DONE
CREATE, UPDATE, DELETE, NOTHING = Kind.CREATE, Kind.UPDATE, Kind.DELETE, Kind.NOTHING


class Change(msgspec.Struct, frozen=True, array_like=True):
    """One requested change.

    `body`: a JSON object that has passed the schema. A CREATE has the whole record, an UPDATE the
    fields to replace. `match`: the tags of If-Match. Empty: no condition; `ANY` alone: any
    existing value.
    """

    kind: Kind
    body: bytes = b""
    match: tuple[bytes, ...] = ()


ANY = b"*"
"""The If-Match tag that matches every existing record."""


class Effect(msgspec.Struct, frozen=True):
    """The outcome of a change, and the body afterwards.

    `body`: None if there is no record afterwards.
    """

    outcome: Outcome
    body: bytes | None


def tag_of(body: bytes) -> bytes:
    """Return the 8-byte entity tag of a body.

    Equal bodies have equal tags on every node.
    """
    return hashlib.blake2b(body, digest_size=8).digest()


def outcome_of(change: Change, base: bytes | None) -> Outcome:
    """Return the outcome that `change` has on `base`.

    Args:
        change: The requested change.
        base: The record's body; None if there is no record.
    """
    if change.kind is NOTHING:
        return DONE
    if change.kind is CREATE:
        return DONE if base is None else Outcome.EXISTS
    if base is None:
        return Outcome.ABSENT
    if change.match and change.match != (ANY,) and tag_of(base) not in change.match:
        return Outcome.MISMATCH
    return DONE


def evaluate(change: Change, base: bytes | None) -> Effect:
    """Apply `change` to `base`.

    Args:
        change: The requested change.
        base: The record's body; None if there is no record.
    """
    outcome = outcome_of(change, base)
    if outcome is not DONE or change.kind is NOTHING:
        return Effect(outcome, base)
    if change.kind is UPDATE and base is not None:
        return Effect(outcome, merge(base, change.body))
    return Effect(outcome, change.body if change.kind is CREATE else None)


def merge(base: bytes, fields: bytes) -> bytes:
    """Replace fields of `base` by those of the JSON object `fields`.

    The fields keep the order of `base`; new ones follow.
    """
    record = _decode(base)
    record.update(_decode(fields))
    return _encode(record)
