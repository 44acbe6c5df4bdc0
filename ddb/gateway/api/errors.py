"""The errors that clients see: name, HTTP status, and the state of their data.

A message has three parts: the event, its meaning for the data, the remedy. A 4xx error means that
nothing was changed. After a 500 or 503 the field `applied` tells whether a change was made.
"""

from dataclasses import dataclass
from enum import Enum

import msgspec

from ddb.gateway.api.paths import COLLECTIONS
from ddb.gateway.records import Applied, TooManyKeyed, Unavailable

_READS = ("GET", "HEAD")
_UNCHANGED = "nothing was changed"
_MOST_FIELDS_IN_MESSAGE = 4
"""Too low: a client that shows the message alone sees one fault after another. Too high: a body
with 3,000 wrong fields makes a message of more than 100 KB. `details` has all of them."""


class Error(Enum):
    """Each error: name in the body, HTTP status, whether a change may have been made."""

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
    """The fault of one field; `field` is empty for the request as a whole."""

    field: str
    message: str


class Refused(Exception):
    """Ends a request with an error response.

    Args:
        message: the event, its meaning for the data, the remedy.
        applied: whether a change was made; None for errors that never change anything.
        closes: True: the response ends the connection, because the bytes behind this request
            may not be a request. False: the connection stays open.
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
        """Encode the error as JSON."""
        answer: dict[str, object] = {"name": self.error.label, "message": self.message}
        if self.error.label == "InvalidRequestError":
            answer["details"] = [
                {"field": detail.field, "message": detail.message} for detail in self.details
            ]
        if self.applied is not None:
            answer["applied"] = self.applied.value
        return msgspec.json.encode(answer)


def invalid(field: str, message: str) -> Refused:
    """Make a 400 for one field, or for the request as a whole if `field` is empty."""
    return invalid_fields((Detail(field, message),))


def invalid_fields(details: tuple[Detail, ...]) -> Refused:
    """Make a 400. The message names the first `_MOST_FIELDS_IN_MESSAGE` faults."""
    faults = "; ".join(
        f"{detail.field}: {detail.message}" if detail.field else detail.message
        for detail in details[:_MOST_FIELDS_IN_MESSAGE]
    )
    message = f"{faults}. Nothing was changed; correct the request and send it again"
    return Refused(Error.INVALID, message, details=details)


def no_such_path(path: str) -> Refused:
    """Make a 404 for a path that names no resource. `path`: an excerpt of it."""
    collections = ", ".join(f"{collection}/" for collection in COLLECTIONS)
    message = f"No resource has the path {path}; {_UNCHANGED}; use a collection: {collections}"
    return Refused(Error.NOT_FOUND, message)


def wrong_method(method: str, allowed: str) -> Refused:
    """Make a 405; `allowed` is the value of its Allow header."""
    return Refused(
        Error.WRONG_METHOD,
        f"This path does not take {method}; {_UNCHANGED}; it takes {allowed}",
        details=(Detail("method", f"it takes one of {allowed}"),),
        headers=((b"allow", allowed.encode()),),
    )


def undecided(unavailable: Unavailable) -> Refused:
    """Make a 503 for an operation that the cluster did not decide in time."""
    meaning = (
        f"{_UNCHANGED}; send the request again after {unavailable.retry_after_s} s"
        if unavailable.applied is Applied.NO
        else "the change may have been made, or may still be made; read the record, or send the"
        " request again with the same Idempotency-Key"
    )
    return Refused(
        Error.UNAVAILABLE,
        f"Not decided: {unavailable}; {meaning}",
        applied=unavailable.applied,
        headers=((b"retry-after", b"%d" % unavailable.retry_after_s),),
    )


def too_many_keyed(refused: TooManyKeyed) -> Refused:
    """Make a 429 for a record without room for another Idempotency-Key."""
    return Refused(
        Error.TOO_MANY_KEYED,
        "This user has no room for another Idempotency-Key; it stores each for ten minutes."
        " Nothing was changed. Send the request again with the same key after"
        f" {refused.retry_after_s} s",
        applied=Applied.NO,
        headers=((b"retry-after", b"%d" % refused.retry_after_s),),
    )


def stopped(method: str, *, begun: bool) -> Refused:
    """Make a 503 for a request that a stopping gateway does not finish.

    `begun`: True: the operation had started. False: it had not, because the body was incomplete.
    """
    applied = Applied.UNKNOWN if begun and method not in _READS else Applied.NO
    refused = undecided(Unavailable(applied, "this gateway is stopping"))
    refused.closes = True
    return refused


def defect(method: str) -> Refused:
    """Make a 500. The gateway's log has the exception; the response does not."""
    if method in _READS:
        meaning, applied = f"{_UNCHANGED}; send the request again", Applied.NO
    else:
        meaning = "the change may have been made; read the record before you send it again"
        applied = Applied.UNKNOWN
    message = f"The gateway failed because of a defect, and its log has the cause; {meaning}"
    return Refused(Error.DEFECT, message, applied=applied)
