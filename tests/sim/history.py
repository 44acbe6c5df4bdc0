"""Histories: what clients asked of one record, when, and what they were answered."""

from dataclasses import dataclass
from enum import Enum

Record = dict[str, object]


class Method(Enum):
    """What a call asks for."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    DELETE = "DELETE"


class Ended(Enum):
    """How a call was answered."""

    OK = "ok"
    ABSENT = "absent"
    """404"""
    EXISTS = "exists"
    """409"""
    MISMATCH = "mismatch"
    """412"""
    NO = "no"
    """503: it was certainly not applied, and never will be."""
    UNKNOWN = "unknown"
    """503: it may have been applied, or may yet be."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is the record after the call, as answered; None where the answer carries none."""

    kind: Ended
    body: Record | None = None

    def __repr__(self) -> str:
        return self.kind.value if self.body is None else f"{self.kind.value} {self.body}"


@dataclass(frozen=True, slots=True)
class Call:
    """One call from its invocation to its answer.

    `body`: the whole record of a POST, the fields that a PUT replaces. `match`: the record that
    If-Match demands to find. `invoked` and `returned` are moments of one clock; two calls are in
    order when one returned strictly before the other was invoked, so equal moments are no order.
    A call that was never answered has neither `returned` nor `answer`: it may take effect at any
    moment after its invocation, or never.
    """

    client: int
    method: Method
    id: str
    body: Record | None
    invoked: float
    returned: float | None
    answer: Answer | None
    match: Record | None = None

    def __repr__(self) -> str:
        sent = "" if self.body is None else f" {self.body}"
        match = "" if self.match is None else f" if {self.match}"
        end = "" if self.returned is None else f"{self.returned:g}"
        answer = "abandoned" if self.answer is None else repr(self.answer)
        span = f"[{self.invoked:g}..{end}]"
        return f"{span} client {self.client} {self.method.value}{sent}{match}: {answer}"
