"""Changes: what a client asks to do to one record, and what came of it.

A change is a pure function from the record's present body to its next one, as in CASPaxos
(Rystsov 2018): the coordinator may evaluate it several times, on several base states, and only
the evaluation that two nodes hold takes effect.
"""

import hashlib
from enum import IntEnum

import msgspec

Fields = dict[str, object]

_decode = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode


class Kind(IntEnum):
    """What a change does to its record."""

    CREATE = 1
    UPDATE = 2
    DELETE = 3
    NOTHING = 4
    """Settles the record under a new ballot and leaves its value alone."""


class Outcome(IntEnum):
    """How an operation ended. Everything from `ABSENT` on changed nothing."""

    DONE = 0
    ABSENT = 1
    EXISTS = 2
    MISMATCH = 3
    """If-Match named another value than the record's."""
    REUSED = 4
    """The client's Idempotency-Key already names a different request on this record."""


class Change(msgspec.Struct, frozen=True, array_like=True):
    """One requested change.

    `body` is the JSON object of a CREATE (whole) or UPDATE (the fields to replace), already
    checked against the schema. `match` lists the tags of If-Match: empty means no condition, and
    `ANY` alone means any existing value.
    """

    kind: Kind
    body: bytes = b""
    match: tuple[bytes, ...] = ()


ANY = b"*"
"""The If-Match tag that matches every existing record."""


class Effect(msgspec.Struct, frozen=True):
    """What a change makes of a base: the outcome, and the body afterwards (None: no record)."""

    outcome: Outcome
    body: bytes | None


def tag_of(body: bytes) -> bytes:
    """The 8-byte entity tag of a body: equal bodies, equal tags, on every node."""
    return hashlib.blake2b(body, digest_size=8).digest()


def verdict(change: Change, base: bytes | None) -> Outcome:
    """How `change` ends on `base`, the record's body or None where there is no record."""
    if change.kind is Kind.NOTHING:
        return Outcome.DONE
    if change.kind is Kind.CREATE:
        return Outcome.DONE if base is None else Outcome.EXISTS
    if base is None:
        return Outcome.ABSENT
    if change.match and change.match != (ANY,) and tag_of(base) not in change.match:
        return Outcome.MISMATCH
    return Outcome.DONE


def evaluate(change: Change, base: bytes | None) -> Effect:
    """Apply `change` to `base`, the record's body or None where there is no record."""
    outcome = verdict(change, base)
    if outcome is not Outcome.DONE or change.kind is Kind.NOTHING:
        return Effect(outcome, base)
    if change.kind is Kind.UPDATE and base is not None:
        return Effect(outcome, merge(base, change.body))
    return Effect(outcome, change.body if change.kind is Kind.CREATE else None)


def merge(base: bytes, fields: bytes) -> bytes:
    """Replace the fields named in the JSON object `fields`, keeping `base`'s order of fields."""
    record = _decode(base)
    record.update(_decode(fields))
    return _encode(record)
