"""One response, and the checks of its parts."""

import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

User = dict[str, object]

DATE_TOLERANCE_S = 60
"""The most that the clocks of the system and of the tests may differ.

Lower: a remote system fails the tests. Higher: the tests accept a `Date` that is wrong.
"""

_ERROR_FIELDS = {
    "InvalidRequestError": {"name", "message", "details"},
    "NotFoundError": {"name", "message"},
    "ConflictError": {"name", "message"},
    "TooManyRequestsError": {"name", "message", "applied"},
    "UnavailableError": {"name", "message", "applied"},
    "ApplicationError": {"name", "message", "applied"},
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One response. Header names are in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header's value, or None without the header. Check that it occurs once."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} occurs {len(values)} times"
        return values[0] if values else None

    @property
    def etag(self) -> str:
        """The entity tag. Checks that there is one."""
        tag = self.header("etag")
        assert tag is not None
        return tag

    @property
    def json(self) -> object:
        """The decoded body. Checks that the headers declare JSON of this length."""
        assert self.header("content-type") == "application/json"
        assert self.header("content-length") == str(len(self.body))
        return json.loads(self.body)

    @property
    def pair(self) -> tuple[int, Any]:
        """The status and the decoded body, None if it is empty."""
        return self.status, self.json if self.body else None

    @property
    def user(self) -> User:
        """The body as one user. Checks that it is a JSON object."""
        user = self.json
        assert isinstance(user, dict)
        return user

    @property
    def users(self) -> list[User]:
        """The body as a list of users. Checks that it is a JSON array."""
        users = self.json
        assert isinstance(users, list)
        return users


def refusal(answer: Answer, status: int, name: str) -> dict[str, str]:
    """Check the shape of an error. Return its explanations by field."""
    assert answer.status == status, answer.body
    error = answer.user
    assert error["name"] == name
    assert set(error) == _ERROR_FIELDS[name]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert "Traceback" not in error["message"]
    details = error.get("details", [])
    assert isinstance(details, list)
    for detail in details:
        assert set(detail) == {"field", "message"}
        assert isinstance(detail["field"], str)
        assert isinstance(detail["message"], str)
        assert detail["message"]
    by_field = {detail["field"]: detail["message"] for detail in details}
    assert len(by_field) == len(details), "more than one detail for a field"
    return by_field


def invalid(answer: Answer) -> dict[str, str]:
    """Check that an answer is a 400 with details. Return its explanations by field."""
    details = refusal(answer, 400, "InvalidRequestError")
    assert details
    return details


def missing(answer: Answer) -> None:
    """Check that an answer is the 404 of a user that does not exist."""
    assert refusal(answer, 404, "NotFoundError") == {}
    assert answer.user["message"] == "User not found"


def without_date(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Check that there is one `Date`, of about now. Return the headers without it.

    Without the date, a test can compare two answers.
    """
    (date,) = (value for name, value in headers if name == "date")
    assert date.endswith(" GMT")
    assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < DATE_TOLERANCE_S
    return [header for header in headers if header[0] != "date"]
