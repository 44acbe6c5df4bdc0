"""Responses: status, headers and body as a value that both lanes send."""

from http import HTTPStatus

import msgspec

from ddb.gateway.api.errors import Error, Refused

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
REVALIDATE = (b"cache-control", b"no-cache")
"""On records: a cache asks with the ETag before it reuses one, so no read is older than asked."""
NO_STORE = (b"cache-control", b"no-store")
"""On what has no ETag: no cache can check it, so none may keep it."""
CLOSE = (b"connection", b"close")

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_WITHOUT_LENGTH = (204, 304)
"""These never have a body, and say nothing of its length."""


class Response(msgspec.Struct, frozen=True):
    """One response; `headers` come before content-length.

    Args:
        closes: True: the connection ends after this response. False: the client may go on.
    """

    status: int
    body: bytes
    headers: Headers
    closes: bool = False

    def fields(self) -> Headers:
        """Every header of the application, in order."""
        fields = list(self.headers)
        if self.status not in _WITHOUT_LENGTH:
            fields.append((b"content-length", b"%d" % len(self.body)))
        if self.closes:
            fields.append(CLOSE)
        return fields

    def encode(self, common: Headers, *, keep_alive: bool) -> bytes:
        """Encode as HTTP/1.1; `common` comes first, as the server puts the date there."""
        parts = [_STATUS_LINES[self.status]]
        for name, value in common:
            parts += (name, b": ", value, b"\r\n")
        for name, value in self.headers:
            parts += (name, b": ", value, b"\r\n")
        if self.status not in _WITHOUT_LENGTH:
            parts.append(b"content-length: %d\r\n" % len(self.body))
        if not keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", self.body)
        return b"".join(parts)


def plain(status: int, answer: object) -> Response:
    """Make a JSON response that no cache stores."""
    return Response(status, msgspec.json.encode(answer), [JSON, NO_STORE])


def refusal(refused: Refused) -> Response:
    """Make an error's response."""
    headers = [JSON, NO_STORE, *refused.headers]
    closes = refused.error is Error.DEFECT or refused.closes
    return Response(refused.error.status, refused.body(), headers, closes)
