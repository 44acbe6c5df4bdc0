"""Responses: what goes back to a client, as a value."""

import msgspec

from ddb.gateway.errors import Error, Refused

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")


class Response(msgspec.Struct, frozen=True):
    """A status, a body, and headers beside content-length."""

    status: int
    body: bytes
    headers: Headers


def plain(status: int, answer: object) -> Response:
    """A response that nothing else needs to be said of."""
    return Response(status, msgspec.json.encode(answer), [JSON])


def refusal(refused: Refused) -> Response:
    """The response that an error is."""
    headers = [JSON, *refused.headers]
    if refused.error is Error.UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    return Response(refused.error.status, refused.body(), headers)
