"""What each answer proves about the record that its call found."""

from dataclasses import dataclass
from enum import Enum

from tests.sim.history import Call, Ended, Method, Record

UNSEEN = "(never seen)"
"""Stands for every value that no answer and no If-Match names."""


class Need(Enum):
    """The kind of record that a call must find."""

    ABSENT = "no record"
    PRESENT = "a record"
    BECOMES = "a record that becomes the body seen"
    OTHER = "another record than the one matched"
    NOTHING = "nothing can explain it"


@dataclass(frozen=True, slots=True)
class Expectation:
    """The record that a call must find.

    For BECOMES, merging `sent` into the record gives `body`. For OTHER, the record is not `body`.
    """

    need: Need
    body: Record
    sent: Record

    def met(self, record: Record | None) -> bool:
        """Return whether the call can have found `record`."""
        if self.need is Need.NOTHING:
            return False
        if record is None:
            return self.need is Need.ABSENT
        if self.need is Need.BECOMES:
            return {**record, **self.sent} == self.body
        return self.need is Need.PRESENT or (self.need is Need.OTHER and record != self.body)

    def helped(self, record: Record | None, loose: Call) -> bool:
        """Return whether the call `loose` can bring `record` closer to this expectation."""
        if record is None or loose.method is not Method.PUT:
            return (record is None) is (loose.method is Method.POST)
        fields = loose.body or {}
        if self.need is Need.OTHER:
            return {**record, **fields} != record
        return self.need is Need.BECOMES and any(
            self._wants(field, value) and record.get(field, UNSEEN) != value
            for field, value in fields.items()
        )

    def hopeless(self, record: Record | None, loose: list[Call]) -> bool:
        """Return whether `record` lacks a value that none of the calls in `loose` brings."""
        if self.need is not Need.BECOMES:
            return self.need is Need.NOTHING
        now = record or {}
        lacking = {field for field, value in self.body.items() if now.get(field, UNSEEN) != value}
        brought = (
            field
            for call in loose
            for field, value in (call.body or {}).items()
            if self._wants(field, value)
        )
        return not lacking.difference(self.sent).issubset(brought)

    def _wants(self, field: str, value: object) -> bool:
        return field not in self.sent and self.body.get(field) == value


_ABSENT = Expectation(Need.ABSENT, {}, {})
_PRESENT = Expectation(Need.PRESENT, {}, {})
_NOTHING = Expectation(Need.NOTHING, {}, {})
TURNS = {Method.DELETE: 1, Method.POST: 2, Method.PUT: 3}
"""The only useful order of loose calls between two others."""


def expectation_of(call: Call) -> Expectation:
    """Return the record that a firm call must have found, given its answer."""
    kind = call.answer.kind if call.answer else Ended.NO
    body, sent = answered_body(call), call.body or {}
    if kind is Ended.EXISTS and call.method is Method.POST:
        return _PRESENT
    if kind is Ended.ABSENT and call.method is not Method.POST:
        return _ABSENT
    if kind is Ended.MISMATCH and call.match is not None:
        return Expectation(Need.OTHER, call.match, {})
    if kind is not Ended.OK:
        return _NOTHING
    if call.method is Method.POST:
        return _ABSENT if body == sent else _NOTHING
    if call.method is Method.DELETE:
        return _PRESENT if call.match is None else Expectation(Need.BECOMES, call.match, {})
    if body is None or {**body, **sent} != body:
        return _NOTHING
    if call.match is None:
        return Expectation(Need.BECOMES, body, sent)
    return Expectation(Need.BECOMES, call.match, {}) if {**call.match, **sent} == body else _NOTHING


def answered_body(call: Call) -> Record | None:
    """Return the record in the answer to a call, if any."""
    return call.answer.body if call.answer else None
