"""Histories: the calls of clients on one record, with times and answers."""

from dataclasses import dataclass
from enum import Enum

Record = dict[str, object]


class Method(Enum):
    """The method of a call."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    DELETE = "DELETE"


class Ended(Enum):
    """The kind of an answer."""

    OK = "ok"
    ABSENT = "absent"
    """404"""
    EXISTS = "exists"
    """409"""
    MISMATCH = "mismatch"
    """412"""
    NO = "no"
    """503: the change has not taken effect and never will."""
    UNKNOWN = "unknown"
    """503: the change may have taken effect, or may do so later."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `body` is the record after the call, None where the answer has no body."""

    kind: Ended
    body: Record | None = None

    def __repr__(self) -> str:
        return self.kind.value if self.body is None else f"{self.kind.value} {self.body}"


@dataclass(frozen=True, slots=True)
class Call:
    """One call from its invocation to its answer.

    Two calls are in order if one returned strictly before the other began. Equal moments give no
    order. A call without an answer may take effect at any moment after its invocation, or never.

    Args:
        body: the whole record of a POST, or the fields that a PUT replaces.
        invoked, returned: seconds on one clock; `returned` is None without an answer.
        match: the record that If-Match demands to find.
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
