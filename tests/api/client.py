"""An HTTP client for tests. It can send any bytes, and checks the date of each response.

The tests in this folder run against a new cluster, or against the running system that `DDB_URL`
names. Other clients may use that system. So each test creates users with unique ids, and deletes
them when it ends.
"""

import http.client
import json
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import BinaryIO
from urllib.parse import urlsplit

User = dict[str, object]
Headers = Mapping[str, str | Sequence[str]]

NONE: Headers = {}
"""No headers."""
SOCKET_TIMEOUT_S = 60.0
"""Lower: a busy machine fails a test. Higher: a gateway without an answer blocks the run longer."""
DATE_TOLERANCE_S = 60
"""The most that the clocks of the system and of the tests may differ.

Lower: a remote system fails the tests. Higher: the tests accept a `Date` that is wrong.
"""
TRIES_AFTER_503 = 5
"""Lower: a busy system repeats whole tests. Higher: a system that fails delays the run."""
PAUSE_AFTER_503_S = 0.2
"""Lower: the tries end before the load does. Higher: each 503 delays the run."""

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


class Undecided(Exception):
    """A busy system answered 503, so the test has no result.

    The 503 is correct. `tests/conftest.py` runs the test again.
    """


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


def decided(answers: list[Answer]) -> list[Answer]:
    """Return the answers unchanged. Raises `Undecided` if one of them is a 503."""
    for answer in answers:
        if answer.status == 503:
            raise Undecided(answer.body)
    return answers


class Api:
    """The API of one gateway, over one persistent connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.scheme == "http"
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 80
        self._created: list[str] = []
        """The ids of the users to delete when the test ends."""
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=SOCKET_TIMEOUT_S)

    def fresh(self) -> str:
        """Return an unused id. `clean_up` deletes its user."""
        unused = f"test-{secrets.token_hex(12)}"
        self._created.append(unused)
        return unused

    def delete_later(self, id: str) -> None:
        """Let `clean_up` delete this user."""
        self._created.append(id)

    def make(self, **fields: object) -> User:
        """Create a user in the system, and return it."""
        user = self.valid(**fields)
        answer = self.call("POST", "/api/users/", user, {"Idempotency-Key": secrets.token_hex()})
        assert answer.status == 201, answer.body
        return user

    def valid(self, **fields: object) -> User:
        """Return a valid user that the system does not store yet."""
        chosen = fields.pop("id", None) or self.fresh()
        return {
            "id": chosen,
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "group": 1,
        } | fields

    def call(self, method: str, path: str, body: object = None, headers: Headers = NONE) -> Answer:
        """Send one request and return its answer. Repeat it after a 503 if that is safe.

        Args:
            method: the method, for example GET.
            path: the path, with its query.
            body: the client sends bytes unchanged, and any other value as JSON. None: no body.
            headers: one value or several by name.

        Raises:
            Undecided: the system still answers 503, or the change may have been applied.
        """
        repeatable = method in ("GET", "HEAD") or "Idempotency-Key" in headers
        for _ in range(TRIES_AFTER_503):
            try:
                answer = self._call(self._connection, method, path, body, headers)
            except (OSError, http.client.HTTPException):
                # The next call must not read the remaining bytes as its own answer.
                self._connection.close()
                raise
            if answer.status != 503:
                return answer
            if not repeatable and answer.user["applied"] != "no":
                break
            time.sleep(PAUSE_AFTER_503_S)
        raise Undecided(f"{method} {path[:100]}: {answer.body!r}")

    def together(self, *requests: tuple[str, str, object, Headers]) -> list[Answer]:
        """Send all requests at the same time, each on its own connection.

        Raises:
            Undecided: one of the answers is a 503.
        """

        def one(request: tuple[str, str, object, Headers]) -> Answer:
            connection = self._connect()
            try:
                return self._call(connection, *request)
            finally:
                connection.close()

        with ThreadPoolExecutor(len(requests)) as pool:
            return decided(list(pool.map(one, requests)))

    @staticmethod
    def _call(
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: object,
        headers: Headers,
    ) -> Answer:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, values in headers.items():
            for value in (values,) if isinstance(values, str) else values:
                connection.putheader(name, value)
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        return _answer(connection.getresponse())

    def socket(self) -> socket.socket:
        """Open a TCP connection to the gateway."""
        return socket.create_connection((self.host, self.port), SOCKET_TIMEOUT_S)

    def raw(self, request: bytes, *, methods: Sequence[str] = ("GET",)) -> list[Answer]:
        """Send bytes unchanged on a new connection, and return the answers.

        Args:
            request: one request or several.
            methods: the method of each request in `request`, in order.

        Raises:
            Undecided: one of the answers is a 503.
        """
        with self.socket() as connection:
            connection.sendall(request)
            stream = connection.makefile("rb")
            return decided([read_answer(stream, method) for method in methods])

    def clean_up(self) -> None:
        """Delete the users of the test, and close the connection."""
        try:
            for user_id in self._created:
                self.call(
                    "DELETE", f"/api/users/{user_id}", headers={"Idempotency-Key": "clean up"}
                )
        finally:
            self._connection.close()

    def __repr__(self) -> str:
        return f"<Api {self.host}:{self.port}, {len(self._created)} users to delete>"


def request(method: str, path: str, body: bytes = b"", extra: str = "") -> bytes:
    """Return the bytes of a request. `extra`: header lines, each with its line end."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{extra}{length}\r\n".encode() + body


def read_answer(stream: BinaryIO, method: str = "GET") -> Answer:
    """Read the next answer of a stream. The answer to a HEAD has no body."""
    line = stream.readline()
    assert line.startswith(b"HTTP/1.1 "), line
    status = int(line.split()[1])
    headers: list[tuple[str, str]] = []
    while (line := stream.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.lower(), value.strip()))
    answer = Answer(status, _without_date(headers) if status >= 200 else headers, b"")
    if method == "HEAD" or status in (204, 304) or status < 200:
        return answer
    length = answer.header("content-length")
    assert length is not None
    return Answer(status, answer.headers, stream.read(int(length)))


def _answer(response: http.client.HTTPResponse) -> Answer:
    body = response.read()
    headers = [(name.lower(), value) for name, value in response.getheaders()]
    return Answer(response.status, _without_date(headers), body)


def _without_date(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Check that there is one `Date`, of about now. Return the headers without it.

    Without the date, a test can compare two answers.
    """
    (date,) = (value for name, value in headers if name == "date")
    assert date.endswith(" GMT")
    assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < DATE_TOLERANCE_S
    return [header for header in headers if header[0] != "date"]
