"""A request on one user: from method, id, headers and body to the response.

Both lanes call `answer`, so a request gets the same response on each of them.
"""

from collections.abc import Coroutine, Mapping
from typing import Any

from ddb.gateway.api.errors import invalid, wrong_method
from ddb.gateway.api.etags import required_tags
from ddb.gateway.api.response import Response
from ddb.gateway.api.users import Users

Headers = Mapping[bytes, bytes]

CONDITIONS = frozenset({b"if-match", b"if-none-match", b"idempotency-key"})
"""The request headers, in lower case, that change the effect of a request."""

_LONGEST_KEY = 255
_NO_NONE_MATCH = (
    "only GET and HEAD take it; nothing was changed. Send If-Match with PUT, PATCH and DELETE."
    " POST needs no condition, because it never replaces a user"
)


def answer(
    users: Users, method: str, id: str | None, headers: Headers, body: bytes
) -> Coroutine[Any, Any, Response]:
    """Return the coroutine that serves one request.

    Args:
        id: the user's id from the path; None: the path is that of all users, and the body has
            the id.
        headers: those of `CONDITIONS` that the client sent, with lines of one name joined.

    Raises: `Refused`. The coroutine raises it, too, and `Unavailable` and `TooManyKeyed`.
    """
    match method:
        case "GET" | "HEAD" if id is not None:
            return users.read(id, _if_match(headers), headers.get(b"if-none-match"))
        case "PUT" | "PATCH":
            return users.update(id, body, _condition(headers), _key(headers))
        case "DELETE" if id is not None:
            return users.delete(id, _condition(headers), _key(headers))
        case "POST" if id is None:
            return users.create(body, _if_match(headers), _key(headers))
    raise wrong_method(method, "GET, HEAD, POST, PUT, PATCH, DELETE")


def _if_match(headers: Headers) -> tuple[bytes, ...]:
    header = headers.get(b"if-match")
    return () if header is None else required_tags(header)


def _condition(headers: Headers) -> tuple[bytes, ...]:
    """Parse the condition of a change. Raises `Refused` (400)."""
    if b"if-none-match" in headers:
        # To ignore a condition is to make a change that its sender does not want.
        raise invalid("If-None-Match", _NO_NONE_MATCH)
    return _if_match(headers)


def _key(headers: Headers) -> str | None:
    raw = headers.get(b"idempotency-key")
    if raw is None:
        return None
    key = raw.decode("latin-1")
    if not 1 <= len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise invalid("Idempotency-Key", f"it takes 1 to {_LONGEST_KEY} printable characters")
    return key
