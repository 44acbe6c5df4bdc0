"""The errors that clients see, as one table: name, HTTP status, and what it means for their data.

A refusal changes nothing. Only `UnavailableError` can leave a change of unknown outcome behind,
and it says so in `applied`.
"""

from dataclasses import dataclass
from enum import Enum

import msgspec

from ddb.gateway.records import Applied


class Error(Enum):
    """Every error: its name in the answer, its status, and whether a change may have been made."""

    INVALID = ("InvalidRequestError", 400, False)
    TOO_LARGE = ("InvalidRequestError", 413, False)
    HEAD_TOO_LARGE = ("InvalidRequestError", 431, False)
    NOT_FOUND = ("NotFoundError", 404, False)
    WRONG_METHOD = ("InvalidRequestError", 405, False)
    EXISTS = ("ConflictError", 409, False)
    MISMATCH = ("ConflictError", 412, False)
    TOO_MANY_KEYED = ("TooManyRequestsError", 429, False)
    UNAVAILABLE = ("UnavailableError", 503, True)
    DEFECT = ("ApplicationError", 500, True)

    def __init__(self, label: str, status: int, may_have_applied: bool) -> None:
        self.label = label
        self.status = status
        self.may_have_applied = may_have_applied


@dataclass(frozen=True, slots=True)
class Detail:
    """What is wrong with one field ("" for the request as a whole)."""

    field: str
    message: str


class Refused(Exception):
    """A request that is answered by an error."""

    def __init__(
        self,
        error: Error,
        message: str,
        *,
        details: tuple[Detail, ...] = (),
        applied: Applied | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.details = details
        self.applied = applied
        self.headers = headers

    def body(self) -> bytes:
        """The JSON answer."""
        answer: dict[str, object] = {"name": self.error.label, "message": self.message}
        if self.error.label == "InvalidRequestError":
            answer["details"] = [
                {"field": detail.field, "message": detail.message} for detail in self.details
            ]
        if self.applied is not None:
            answer["applied"] = self.applied.value
        return msgspec.json.encode(answer)


def invalid(field: str, message: str) -> Refused:
    """A 400 with one detail."""
    where = f"{field}: " if field else ""
    return Refused(Error.INVALID, f"{where}{message}", details=(Detail(field, message),))
