"""The HTTP face: from paths, methods and headers to operations.

On the way of every request, so there is no framework: its routing and request objects would cost
more than all that a read does in the gateway besides.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote

from ddb.gateway.conditions import required_tags
from ddb.gateway.document import GREATEST_DOCUMENT
from ddb.gateway.errors import Detail, Error, Refused, invalid
from ddb.gateway.records import Applied, Records, TooManyKeyed, Unavailable
from ddb.gateway.request import Request
from ddb.gateway.response import Response, plain, refusal
from ddb.gateway.schema import load
from ddb.gateway.users import PATH, Users

log = logging.getLogger(__name__)

Said = Mapping[bytes, bytes]

COLLECTION = PATH.rstrip("/")
COUNT = PATH + "count"
READING = ("GET", "HEAD")
_LONGEST_KEY = 255
_NO_NONE_MATCH = (
    "it is for GET and HEAD; nothing was changed. PUT, PATCH and DELETE never make a user, and take"
    " If-Match; POST makes one only where there is none"
)


class Application:
    """What the gateway does with requests."""

    def __init__(self, records: Records, mint: Callable[[], str]) -> None:
        """`mint` makes ids for users that come without one."""
        self._records = records
        self._users = Users(records, load("user"), mint)

    async def respond(self, request: Request) -> Response:
        """Do one request. Whatever happens, there is a response."""
        try:
            return await _respond(self._records, self._users, request)
        except Refused as refused:
            return refusal(refused)
        except Unavailable as unavailable:
            return refusal(_unavailable(unavailable))
        except TooManyKeyed as too_many:
            return refusal(_too_many_keyed(too_many.retry_after_s))
        except Exception:
            # The last line of defence: a defect is logged whole and told without its insides.
            log.exception("%s %s failed", request.method, request.path)
            return refusal(_defect(request.method))

    def __repr__(self) -> str:
        return f"<Application {self._users!r}>"


async def _respond(records: Records, users: Users, request: Request) -> Response:
    if request.excess:
        # Whatever it asks for: it is not here as a whole.
        why = f"a body takes at most {GREATEST_DOCUMENT} bytes, and {request.excess}"
        raise Refused(Error.TOO_LARGE, why, details=(Detail("", why),))
    method, path = request.method, _path(request.path)
    if path.startswith(PATH) and path != COUNT:
        return await _one(users, path[len(PATH) :], method, request)
    if path == COLLECTION:
        return await _all(users, method, request)
    if path not in (COUNT, "/healthz", "/readyz", "/statusz"):
        raise Refused(Error.NOT_FOUND, "There is nothing at this path")
    _allow(method, READING)
    if path == COUNT:
        return await users.count()
    if path == "/readyz":
        ready = records.ready()
        return plain(200 if ready else 503, {"ready": ready})
    return plain(200, records.status() if path == "/statusz" else {"healthy": True})


async def _one(users: Users, id: str, method: str, request: Request) -> Response:
    if "/" in id or not id:
        raise Refused(Error.NOT_FOUND, "There is nothing at this path")
    said = request.said
    match method:
        case "GET" | "HEAD":
            return await users.read(id, _if_match(said), said.get(b"if-none-match"))
        case "PUT" | "PATCH":
            tags = _condition(said)
            return await users.update(id, request.body, tags, _key(said))
        case "DELETE":
            return await users.delete(id, _condition(said), _key(said))
    raise _wrong(method, (*READING, "PUT", "PATCH", "DELETE"))


async def _all(users: Users, method: str, request: Request) -> Response:
    said = request.said
    match method:
        case "GET" | "HEAD":
            return await users.page(request.query)
        case "POST":
            return await users.create(request.body, _key(said))
        case "PUT":
            tags = _condition(said)
            return await users.update(None, request.body, tags, _key(said))
    raise _wrong(method, (*READING, "POST", "PUT"))


def _path(sent: str) -> str:
    """The path without a trailing slash; an encoded slash stays one and separates nothing."""
    path = sent
    if "%" in sent:
        path = "/".join(
            unquote(part, errors="replace").replace("/", "\N{REPLACEMENT CHARACTER}")
            for part in sent.split("/")
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


def _too_many_keyed(retry_after_s: int) -> Refused:
    return Refused(
        Error.TOO_MANY_KEYED,
        "This user already remembers as many writes with an Idempotency-Key as it can for ten"
        " minutes. This request changed nothing. Send it again with the same key after"
        f" {retry_after_s} s",
        applied=Applied.NO,
        headers=((b"retry-after", b"%d" % retry_after_s),),
    )


def _defect(method: str) -> Refused:
    harmless = method in READING
    return Refused(
        Error.DEFECT,
        "A defect of the gateway; its log says more",
        applied=Applied.NO if harmless else Applied.UNKNOWN,
    )
