"""The gateway's Starlette application: all routes, and all errors as JSON.

`fast_lane` answers the most frequent requests before they reach this application. Both call the
same operations.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypedDict, cast

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

from ddb.gateway.api.errors import (
    Refused,
    defect,
    no_such_path,
    too_many_keyed,
    undecided,
    wrong_method,
)
from ddb.gateway.api.excerpt import short
from ddb.gateway.api.paging import no_parameters
from ddb.gateway.api.paths import COUNT, USERS
from ddb.gateway.api.response import Response, plain, refusal
from ddb.gateway.api.user_requests import CONDITIONS, answer
from ddb.gateway.api.users import Users
from ddb.gateway.http.connection_cap import ConnectionCap
from ddb.gateway.http.whole_request import WholeRequest
from ddb.gateway.records import Records, TooManyKeyed, Unavailable
from ddb.ring.verdict import Verdict


class State(TypedDict):
    """The objects that the lifespan opens; uvicorn passes them to connections and requests."""

    users: Users
    records: Records
    verdict: Callable[[], Verdict]
    cap: ConnectionCap


Lifespan = Callable[[Starlette], AbstractAsyncContextManager[State]]


class _Sent(StarletteResponse):
    """Sends a `Response` with exactly its own headers."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.body, response.status)
        self.raw_headers = response.fields()


class _Resource(HTTPEndpoint):
    async def options(self, _request: Request) -> StarletteResponse:
        """Serve OPTIONS: the methods of the path. A query string does not matter."""
        allowed = ", ".join(self._allowed_methods).encode()
        return _Sent(Response(204, b"", [(b"allow", allowed)]))


class _OneUser(_Resource):
    async def get(self, request: Request) -> StarletteResponse:
        """Serve GET, HEAD, PUT, PATCH or DELETE of one user."""
        no_parameters(request.scope["query_string"])
        return await _answer(request, request.path_params["id"])

    put = patch = delete = get


class _AllUsers(_Resource):
    async def get(self, request: Request) -> StarletteResponse:
        """Serve GET or HEAD: LIST."""
        return _Sent(await _state(request)["users"].page(request.scope["query_string"]))

    async def post(self, request: Request) -> StarletteResponse:
        """Serve POST or PUT of the user whose id is in the body."""
        no_parameters(request.scope["query_string"])
        return await _answer(request, None)

    put = post


class _Count(_Resource):
    async def get(self, request: Request) -> StarletteResponse:
        """Serve GET or HEAD: COUNT."""
        no_parameters(request.scope["query_string"])
        return _Sent(await _state(request)["users"].count())


class _Health(_Resource):
    async def get(self, _request: Request) -> StarletteResponse:
        """Serve GET or HEAD: the process runs."""
        return _Sent(plain(200, {"healthy": True}))


class _Readiness(_Resource):
    async def get(self, request: Request) -> StarletteResponse:
        """Serve GET or HEAD: whether each record can be decided."""
        verdict = _state(request)["verdict"]()
        document = {"verdict": verdict.sentence, "ready": verdict.ready}
        return _Sent(plain(200 if verdict.ready else 503, document))


class _Status(_Resource):
    async def get(self, request: Request) -> StarletteResponse:
        """Serve GET or HEAD: this gateway's own view of the nodes."""
        verdict = _state(request)["verdict"]()
        document = {"verdict": verdict.sentence, "tolerates": verdict.tolerates}
        return _Sent(plain(200, document | _state(request)["records"].status()))


def application(lifespan: Lifespan) -> Starlette:
    """Make the application. `lifespan` opens the objects of `State`, and closes them."""
    app = Starlette(
        routes=[
            Route(f"{USERS}/{COUNT}", _Count),
            Route(f"{USERS}/{{id}}", _OneUser),
            Route(USERS, _AllUsers),
            Route("/healthz", _Health),
            Route("/readyz", _Readiness),
            Route("/statusz", _Status),
        ],
        middleware=[Middleware(WholeRequest)],
        exception_handlers={
            Refused: _refused,
            Unavailable: _undecided,
            TooManyKeyed: _too_many_keyed,
            HTTPException: _not_routed,
            Exception: _defect,
        },
        lifespan=cast("Any", lifespan),
    )
    # `WholeRequest` has normalized the path, so a redirect to another form would find nothing.
    app.router.redirect_slashes = False
    return app


async def _answer(request: Request, id: str | None) -> StarletteResponse:
    users, body = _state(request)["users"], await request.body()
    return _Sent(await answer(users, request.method, id, _conditions(request), body))


def _conditions(request: Request) -> Mapping[bytes, bytes]:
    """Pick the `CONDITIONS` of a request, and join lines of one name (RFC 9110, section 5.3)."""
    joined: dict[bytes, bytes] = {}
    for name, value in request.scope["headers"]:
        if name in CONDITIONS:
            joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


def _state(request: Request) -> State:
    return cast("State", request.scope["state"])


async def _refused(_request: Request, error: Exception) -> StarletteResponse:
    return _Sent(refusal(cast("Refused", error)))


async def _undecided(_request: Request, error: Exception) -> StarletteResponse:
    return _Sent(refusal(undecided(cast("Unavailable", error))))


async def _too_many_keyed(_request: Request, error: Exception) -> StarletteResponse:
    return _Sent(refusal(too_many_keyed(cast("TooManyKeyed", error))))


async def _not_routed(request: Request, error: Exception) -> StarletteResponse:
    """Answer the two errors of Starlette's router: no route, and a route without this method."""
    allowed = (cast("HTTPException", error).headers or {}).get("Allow")
    if allowed is not None:
        return _Sent(refusal(wrong_method(request.method, allowed)))
    return _Sent(refusal(no_such_path(short(request.scope["raw_path"].decode("ascii")))))


async def _defect(request: Request, _error: Exception) -> StarletteResponse:
    """Answer 500. Starlette then raises the exception again, and uvicorn logs it."""
    return _Sent(refusal(defect(request.method)))
