"""The errors that clients see, as one table: name, HTTP status, and what it means for their data.

A refusal changes nothing. Only `UnavailableError` can leave a change of unknown outcome behind,
and it says so in `applied`.
"""

from dataclasses import dataclass
from enum import Enum

import msgspec

from ddb.gateway.records import Applied, TooManyKeyed, Unavailable

_READS = ("GET", "HEAD")


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
    UNKNOWN_CODING = ("InvalidRequestError", 501, False)
    UNKNOWN_VERSION = ("InvalidRequestError", 505, False)
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
    """A request that is answered by an error.

    Args:
        closes: True: what follows on the connection cannot be trusted, so it ends.
            False: the connection goes on.
    """

    def __init__(
        self,
        error: Error,
        message: str,
        *,
        details: tuple[Detail, ...] = (),
        applied: Applied | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        closes: bool = False,
    ) -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.details = details
        self.applied = applied
        self.headers = headers
        self.closes = closes

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


def no_such_path() -> Refused:
    """A 404 for a path that names no resource."""
    return Refused(Error.NOT_FOUND, "There is nothing at this path")


def wrong_method(method: str, allowed: str) -> Refused:
    """A 405; `allowed` is the value of its Allow header."""
    return Refused(
        Error.WRONG_METHOD,
        f"This path does not take {method}; nothing was changed; it takes {allowed}",
        details=(Detail("method", f"it takes one of {allowed}"),),
        headers=((b"allow", allowed.encode()),),
    )


def undecided(unavailable: Unavailable) -> Refused:
    """A 503, with what it means for the client's data."""
    meaning = (
        "nothing was changed"
        if unavailable.applied is Applied.NO
        else "the change may have been made or may yet be: read the record, or send the request"
        " again with the same Idempotency-Key"
    )
    return Refused(
        Error.UNAVAILABLE,
        f"Not decided: {unavailable}; {meaning}",
        applied=unavailable.applied,
        headers=((b"retry-after", b"%d" % unavailable.retry_after),),
    )


def too_many_keyed(refused: TooManyKeyed) -> Refused:
    """A 429, with the time at which the record has room again."""
    return Refused(
        Error.TOO_MANY_KEYED,
        "This user already remembers as many writes with an Idempotency-Key as it can for ten"
        " minutes. This request changed nothing. Send it again with the same key after"
        f" {refused.retry_after_s} s",
        applied=Applied.NO,
        headers=((b"retry-after", b"%d" % refused.retry_after_s),),
    )


def stopped(method: str, *, begun: bool) -> Refused:
    """A 503 as the gateway stops; `begun`: False: the operation was not, for want of a body."""
    applied = Applied.UNKNOWN if begun and method not in _READS else Applied.NO
    refused = undecided(Unavailable(applied, "this gateway stops"))
    refused.closes = True
    return refused


def defect(method: str) -> Refused:
    """A 500; the log has the exception, the answer has nothing of it."""
    if method in _READS:
        meaning, applied = "nothing was changed", Applied.NO
    else:
        meaning = "the change may have been made: read the record before sending it again"
        applied = Applied.UNKNOWN
    message = f"The gateway failed at this request, and its log has the cause; {meaning}"
    return Refused(Error.DEFECT, message, applied=applied)
