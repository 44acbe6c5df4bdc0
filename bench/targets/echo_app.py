"""The limit: a Starlette application that keeps nothing. Run as a module with a port."""

import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.targets.serving import serve
from bench.users import Generator

_BODY = next(Generator()).body()


async def read(_: Request) -> Response:
    """Answer with a user, always the same."""
    return Response(_BODY, media_type="application/json")


async def write(request: Request) -> Response:
    """Take the body, and answer with a user as a PUT of one field does."""
    await request.body()
    return Response(_BODY, media_type="application/json")


def main() -> None:
    """Serve on the port that is the first argument."""
    serve(
        Starlette(
            routes=[
                Route("/api/users/{id}", read, methods=["GET"]),
                Route("/api/users/{id}", write, methods=["PUT"]),
            ]
        ),
        int(sys.argv[1]),
    )


if __name__ == "__main__":
    main()
