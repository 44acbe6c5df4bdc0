"""The HTTP face, as an ASGI application: from paths, methods and headers to operations.

On the way of every request, so it is plain ASGI: a framework's routing and request objects cost
more than all that a read does in the gateway besides.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote

from ddb.gateway.conditions import required_tags
from ddb.gateway.document import GREATEST_DOCUMENT, short
from ddb.gateway.errors import Detail, Error, Refused, invalid
from ddb.gateway.records import Applied, Records, Unavailable
from ddb.gateway.response import Response, plain, refusal
from ddb.gateway.schema import load
from ddb.gateway.users import PATH, Users

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Said = dict[bytes, bytes]

COLLECTION = PATH.rstrip("/")
COUNT = PATH + "count"
READING = ("GET", "HEAD")
_HEEDED = frozenset({b"if-match", b"if-none-match", b"idempotency-key", b"content-length"})
_LONGEST_KEY = 255
_LONGEST_LENGTH = 9
_NO_NONE_MATCH = (
    "it is for GET and HEAD; nothing was changed. PUT, PATCH and DELETE never make a user, and take"
    " If-Match; POST makes one only where there is none"
)


class Application:
    """The gateway as an ASGI application, for whom `respond` is not enough."""

    def __init__(self, records: Records, mint: Callable[[], str]) -> None:
        """`mint` makes ids for users that come without one."""
        self._records = records
        self._users = Users(records, load("user"), mint)

    async def respond(self, scope: Scope, receive: Receive) -> Response:
        """Do one request. Whatever happens, there is a response."""
        try:
            return await _respond(self._records, self._users, scope, receive)
        except Refused as refused:
            return refusal(refused)
        except Unavailable as unavailable:
            return refusal(_unavailable(unavailable))
        except Exception:
            # The last line of defence: a defect is logged whole and told without its insides.
            log.exception("%s %s failed", scope["method"], scope["path"])
            return refusal(_defect(scope["method"]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        response = await self.respond(scope, receive)
        headers = response.headers
        if response.has_length:
            headers = [*headers, (b"content-length", b"%d" % len(response.body))]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    def __repr__(self) -> str:
        return f"<Application {self._users!r}>"


async def _respond(records: Records, users: Users, scope: Scope, receive: Receive) -> Response:
    method, path = scope["method"], _path(scope)
    if path.startswith(PATH) and path != COUNT:
        return await _one(users, path[len(PATH) :], method, scope, receive)
    if path == COLLECTION:
        return await _all(users, method, scope, receive)
    if path not in (COUNT, "/healthz", "/readyz", "/statusz"):
        raise Refused(Error.NOT_FOUND, "There is nothing at this path")
    _allow(method, READING)
    if path == COUNT:
        return await users.count()
    if path == "/readyz":
        ready = records.ready()
        return plain(200 if ready else 503, {"ready": ready})
    return plain(200, records.status() if path == "/statusz" else {"healthy": True})


async def _one(users: Users, id: str, method: str, scope: Scope, receive: Receive) -> Response:
    if "/" in id or not id:
        raise Refused(Error.NOT_FOUND, "There is nothing at this path")
    said = _said(scope)
    match method:
        case "GET" | "HEAD":
            return await users.read(id, _if_match(said), said.get(b"if-none-match"))
        case "PUT" | "PATCH":
            tags = _condition(said)
            return await users.update(id, await _body(said, receive), tags, _key(said))
        case "DELETE":
            return await users.delete(id, _condition(said), _key(said))
    raise _wrong(method, (*READING, "PUT", "PATCH", "DELETE"))


async def _all(users: Users, method: str, scope: Scope, receive: Receive) -> Response:
    match method:
        case "GET" | "HEAD":
            return await users.page(scope["query_string"])
        case "POST":
            said = _said(scope)
            return await users.create(await _body(said, receive), _key(said))
        case "PUT":
            said = _said(scope)
            tags = _condition(said)
            return await users.update(None, await _body(said, receive), tags, _key(said))
    raise _wrong(method, (*READING, "POST", "PUT"))


def _path(scope: Scope) -> str:
    """The path without a trailing slash; an encoded slash stays one and separates nothing."""
    path: str = scope["path"]
    raw: bytes = scope.get("raw_path") or b""
    if b"%" in raw:
        path = "/".join(
            unquote(part, errors="replace").replace("/", "\N{REPLACEMENT CHARACTER}")
            for part in raw.decode("latin-1").split("/")
        )
    return path.removesuffix("/")


def _allow(method: str, allowed: Iterable[str]) -> None:
    if method not in allowed:
        raise _wrong(method, allowed)


def _wrong(method: str, allowed: Iterable[str]) -> Refused:
    methods = ", ".join(allowed)
    return Refused(
        Error.WRONG_METHOD,
        f"{method} is not done here; {methods} are",
        details=(Detail("method", f"it takes one of {methods}"),),
        headers=((b"allow", methods.encode()),),
    )


def _said(scope: Scope) -> Said:
    """The headers that matter here; one that came more than once is joined (RFC 9110, 5.3)."""
    said: Said = {}
    for name, value in scope["headers"]:
        if name in _HEEDED:
            said[name] = said[name] + b", " + value if name in said else value
    return said


def _if_match(said: Said) -> tuple[bytes, ...]:
    header = said.get(b"if-match")
    return () if header is None else required_tags(header)


def _condition(said: Said) -> tuple[bytes, ...]:
    """What a change demands of the record it changes. Raises `Refused` (400)."""
    if b"if-none-match" in said:
        # To ignore a condition would be to make a change that its sender had ruled out.
        raise invalid("If-None-Match", _NO_NONE_MATCH)
    return _if_match(said)


def _key(said: Said) -> str | None:
    raw = said.get(b"idempotency-key")
    if raw is None:
        return None
    key = raw.decode("latin-1")
    if not 1 <= len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise invalid("Idempotency-Key", f"it takes 1 to {_LONGEST_KEY} printable characters")
    return key


async def _body(said: Said, receive: Receive) -> bytes:
    declared = said.get(b"content-length")
    if (
        declared is not None
        and declared.isdigit()
        # int() takes no more than some thousand digits.
        and (len(declared) > _LONGEST_LENGTH or int(declared) > GREATEST_DOCUMENT)
    ):
        raise _too_large(f"this one is to have {short(declared.decode())}")
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        whole: bytes = message.get("body", b"")
        if len(whole) > GREATEST_DOCUMENT:
            raise _too_large(f"this one has {len(whole)}")
        return whole
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message.get("body", b"")
        if len(parts) > GREATEST_DOCUMENT:
            # Before more is awaited, which may never come.
            raise _too_large(f"of this one {len(parts)} have come")
        if not message.get("more_body"):
            return bytes(parts)
        message = await receive()
    raise invalid("", "the request ended before its body did")


def _too_large(found: str) -> Refused:
    why = f"a body takes at most {GREATEST_DOCUMENT} bytes, and {found}"
    return Refused(Error.TOO_LARGE, why, details=(Detail("", why),))


def _unavailable(unavailable: Unavailable) -> Refused:
    known = (
        "nothing was changed"
        if unavailable.applied is Applied.NO
        else "the change may have been made or may yet be: read the record, or send the request"
        " again with the same Idempotency-Key"
    )
    return Refused(
        Error.UNAVAILABLE, f"Not decided: {unavailable}; {known}", applied=unavailable.applied
    )


def _defect(method: str) -> Refused:
    harmless = method in READING
    return Refused(
        Error.DEFECT,
        "A defect of the gateway; its log says more",
        applied=Applied.NO if harmless else Applied.UNKNOWN,
    )
