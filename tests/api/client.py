"""An HTTP client that takes nothing for granted: answers as they came, byte by byte if need be.

The tests beside this file speak to whatever system they are given, which others may be using: every
user they make has an id of its own, and is deleted afterwards.
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
TIMEOUT = 60.0
DATED_WITHIN = 60
"""Seconds that a system's clock may be off, of whatever machine it runs on."""
PATIENCE = 5
"""How often a request is sent that is answered by 503."""

_FIELDS = {
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
        """A header's value, None where it is missing; it must not be there twice."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} is there {len(values)} times"
        return values[0] if values else None

    @property
    def etag(self) -> str:
        """The entity tag, which must be there."""
        tag = self.header("etag")
        assert tag is not None
        return tag

    @property
    def json(self) -> object:
        """The body, which must be JSON and say so."""
        assert self.header("content-type") == "application/json"
        assert self.header("content-length") == str(len(self.body))
        return json.loads(self.body)

    @property
    def user(self) -> User:
        """The body, which must be a JSON object."""
        user = self.json
        assert isinstance(user, dict)
        return user

    @property
    def users(self) -> list[User]:
        """The body, which must be an array of JSON objects."""
        users = self.json
        assert isinstance(users, list)
        return users


class Undecided(Exception):
    """A system under more load than it can carry said so, as it must; the test says nothing."""


def refusal(answer: Answer, status: int, name: str) -> dict[str, str]:
    """Check an error's exact shape; its details by field."""
    assert answer.status == status, answer.body
    error = answer.user
    assert error["name"] == name
    assert set(error) == _FIELDS[name]
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
    assert len(by_field) == len(details), "one per failing field"
    return by_field


def invalid(answer: Answer) -> dict[str, str]:
    """Check that an answer is a 400 of this system; its details by field."""
    details = refusal(answer, 400, "InvalidRequestError")
    assert details
    return details


def missing(answer: Answer) -> None:
    """Check that an answer is the 404 of a user."""
    assert refusal(answer, 404, "NotFoundError") == {}
    assert answer.user["message"] == "User not found"


def decided(answers: list[Answer]) -> list[Answer]:
    """The same answers. Raises `Undecided` where one of them is a 503."""
    for answer in answers:
        if answer.status == 503:
            raise Undecided(answer.body)
    return answers


class Api:
    """The API of one gateway, over one connection that is kept."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.scheme == "http"
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 80
        self._made: list[str] = []
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)

    def fresh(self) -> str:
        """An id that nobody has used; its user is deleted when the test ends."""
        made = f"test-{secrets.token_hex(12)}"
        self._made.append(made)
        return made

    def forget_later(self, id: str) -> None:
        """Delete this user when the test ends."""
        self._made.append(id)

    def make(self, **fields: object) -> User:
        """A new user that the system holds."""
        user = self.valid(**fields)
        answer = self.call("POST", "/api/users/", user, {"Idempotency-Key": secrets.token_hex()})
        assert answer.status == 201, answer.body
        return user

    def valid(self, **fields: object) -> User:
        """A valid user that the system does not hold."""
        named = fields.pop("id", None) or self.fresh()
        return {
            "id": named,
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "group": 1,
        } | fields

    def call(self, method: str, path: str, body: object = None, headers: Headers = NONE) -> Answer:
        """One request; bytes are sent as they are, anything else as JSON."""
        again = method in ("GET", "HEAD") or "Idempotency-Key" in headers
        for _ in range(PATIENCE):
            try:
                answer = self._call(self._connection, method, path, body, headers)
            except (OSError, http.client.HTTPException):
                # What is left of it must not be taken for the next answer.
                self._connection.close()
                raise
            if answer.status != 503:
                return answer
            if not again and answer.user["applied"] != "no":
                break
            time.sleep(0.2)
        raise Undecided(f"{method} {path[:100]}: {answer.body!r}")

    def together(self, *requests: tuple[str, str, object, Headers]) -> list[Answer]:
        """Many requests at the same time, each on a connection of its own."""

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
        for name, given in headers.items():
            for value in (given,) if isinstance(given, str) else given:
                connection.putheader(name, value)
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        return _answer(connection.getresponse())

    def socket(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection((self.host, self.port), TIMEOUT)

    def raw(self, request: bytes, *, methods: Sequence[str] = ("GET",)) -> list[Answer]:
        """The answers to bytes as they are, one per method that is in them."""
        with self.socket() as connection:
            connection.sendall(request)
            stream = connection.makefile("rb")
            return decided([answer_in(stream, method) for method in methods])

    def clean_up(self) -> None:
        """Delete what was made, and close the connection."""
        try:
            for made in self._made:
                self.call("DELETE", f"/api/users/{made}", headers={"Idempotency-Key": "clean up"})
        finally:
            self._connection.close()

    def __repr__(self) -> str:
        return f"<Api {self.host}:{self.port}, {len(self._made)} users made>"


def request(method: str, path: str, body: bytes = b"", extra: str = "") -> bytes:
    """The bytes of a request; `extra`: whole lines of its head."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{extra}{length}\r\n".encode() + body


def answer_in(stream: BinaryIO, method: str = "GET") -> Answer:
    """The next answer in a stream of them; a HEAD's has no body."""
    line = stream.readline()
    assert line.startswith(b"HTTP/1.1 "), line
    status = int(line.split()[1])
    headers: list[tuple[str, str]] = []
    while (line := stream.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.lower(), value.strip()))
    answer = Answer(status, _dated(headers) if status >= 200 else headers, b"")
    if method == "HEAD" or status in (204, 304) or status < 200:
        return answer
    length = answer.header("content-length")
    assert length is not None
    return Answer(status, answer.headers, stream.read(int(length)))


def _answer(response: http.client.HTTPResponse) -> Answer:
    body = response.read()
    headers = [(name.lower(), value) for name, value in response.getheaders()]
    return Answer(response.status, _dated(headers), body)


def _dated(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Check that there is one date, of about now, and leave it out: answers can be compared."""
    (date,) = (value for name, value in headers if name == "date")
    assert date.endswith(" GMT")
    assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < DATED_WITHIN
    return [header for header in headers if header[0] != "date"]
