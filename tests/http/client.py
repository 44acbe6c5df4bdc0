"""The HTTP client of the tests: blocking, with one persistent connection."""

import http.client
import json
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self
from urllib.parse import urlsplit

from tests.http.answer import Answer, without_date
from tests.http.raw import read_answer
from tests.http.retries import RETRIES, Undecided, decided

Headers = Mapping[str, str | Sequence[str]]

NONE: Headers = {}
"""No headers."""
SOCKET_TIMEOUT_S = 60.0
"""Lower: a busy machine fails a test. Higher: a gateway without an answer blocks the run longer."""
TRIES_AFTER_503 = 5
"""Lower: a busy system repeats whole tests. Higher: a system that fails delays the run."""
PAUSE_AFTER_503_S = 0.2
"""Lower: the tries end before the load does. Higher: each 503 delays the run."""


class Client:
    """A client of one gateway. It connects with its first request, and again after an error."""

    def __init__(self, url: str, timeout_s: float = SOCKET_TIMEOUT_S) -> None:
        parts = urlsplit(url)
        assert parts.scheme == "http"
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 80
        self._timeout_s = timeout_s
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=self._timeout_s)

    def connect(self) -> None:
        """Connect now. Raises `OSError` where that fails."""
        self._connection.connect()

    @property
    def is_connected(self) -> bool:
        """Whether neither this client nor an error has closed the connection."""
        return self._connection.sock is not None

    def send(self, method: str, path: str, body: object = None, headers: Headers = NONE) -> Answer:
        """Send one request and return its answer, also a 503.

        Args:
            method: the method, for example GET.
            path: the path, with its query.
            body: the client sends bytes unchanged, and any other value as JSON. None: no body.
            headers: one value or several by name.

        Raises:
            OSError: there is no connection, or it broke.
            http.client.HTTPException: the answer is not HTTP.
        """
        try:
            return _exchange(self._connection, method, path, body, headers)
        except (OSError, http.client.HTTPException):
            # The next request must not read the remaining bytes as its own answer.
            self._connection.close()
            raise

    def call(self, method: str, path: str, body: object = None, headers: Headers = NONE) -> Answer:
        """Like `send`, but repeat the request after a 503 if that is safe.

        Raises:
            Undecided: the system still answers 503, or the change may have been applied.
        """
        repeatable = method in ("GET", "HEAD") or "Idempotency-Key" in headers
        for _ in range(TRIES_AFTER_503):
            answer = self.send(method, path, body, headers)
            RETRIES.add(1, answer.status == 503)
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
                return _exchange(connection, *request)
            finally:
                connection.close()

        with ThreadPoolExecutor(len(requests)) as pool:
            return decided(list(pool.map(one, requests)))

    def socket(self) -> socket.socket:
        """Open a TCP connection to the gateway."""
        return socket.create_connection((self.host, self.port), self._timeout_s)

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

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.host}:{self.port}>"


def _exchange(
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
    response = connection.getresponse()
    content = response.read()
    fields = [(name.lower(), value) for name, value in response.getheaders()]
    return Answer(response.status, without_date(fields), content)
