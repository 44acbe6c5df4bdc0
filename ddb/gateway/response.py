"""Responses: what goes back to a client, as a value."""

from http import HTTPStatus

import msgspec

from ddb.gateway.errors import Error, Refused

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")

_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Response(msgspec.Struct, frozen=True):
    """A status, a body, and headers beside content-length."""

    status: int
    body: bytes
    headers: Headers

    @property
    def has_length(self) -> bool:
        """Whether its length is told: not of the two that never have a body."""
        return self.status not in (204, 304)

    def encode(self, common: Headers, *, keep_alive: bool, with_body: bool) -> bytes:
        """The whole response as HTTP/1.1 has it on the wire; `common`: of all responses."""
        parts = [_LINES[self.status]]
        for name, value in common:
            parts += (name, b": ", value, b"\r\n")
        for name, value in self.headers:
            parts += (name, b": ", value, b"\r\n")
        if self.has_length:
            parts.append(b"content-length: %d\r\n" % len(self.body))
        if not keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        if with_body:
            parts.append(self.body)
        return b"".join(parts)


def plain(status: int, answer: object) -> Response:
    """A response that nothing else needs to be said of."""
    return Response(status, msgspec.json.encode(answer), [JSON])


def refusal(refused: Refused) -> Response:
    """The response that an error is."""
    headers = [JSON, *refused.headers]
    if refused.error is Error.UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    return Response(refused.error.status, refused.body(), headers)
