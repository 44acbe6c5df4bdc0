"""HTTP responses as values, which both lanes send."""

from http import HTTPStatus

import msgspec

from ddb.gateway.api.errors import Error, Refused

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
REVALIDATE = (b"cache-control", b"no-cache")
"""For responses with an ETag: a cache must check the record before it reuses the response."""
NO_STORE = (b"cache-control", b"no-store")
"""For responses without an ETag: no cache can check them, so no cache may store them."""
CLOSE = (b"connection", b"close")

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_WITHOUT_LENGTH = (204, 304)
"""These statuses have neither a body nor a content-length."""


class Response(msgspec.Struct, frozen=True):
    """One response.

    Args:
        headers: all except content-length and connection.
        closes: True: the gateway closes the connection after this response. False: the client
            may send further requests.
    """

    status: int
    body: bytes
    headers: Headers
    closes: bool = False

    def fields(self) -> Headers:
        """List the headers of the response, in order."""
        fields = list(self.headers)
        if self.status not in _WITHOUT_LENGTH:
            fields.append((b"content-length", b"%d" % len(self.body)))
        if self.closes:
            fields.append(CLOSE)
        return fields

    def encode(self, common: Headers, *, keep_alive: bool) -> bytes:
        """Encode as HTTP/1.1.

        Args:
            common: the headers of all responses, such as the date; they come first.
            keep_alive: True: the connection stays open. False: the response announces its end.
        """
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
    """Make the response to a refused request."""
    headers = [JSON, NO_STORE, *refused.headers]
    closes = refused.error is Error.DEFECT or refused.closes
    return Response(refused.error.status, refused.body(), headers, closes)
