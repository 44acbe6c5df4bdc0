"""The echo: a Starlette application that stores nothing. Run as a module: PORT."""

import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.targets.serving import serve
from bench.users import Generator

_BODY = next(Generator()).body()


async def read(_: Request) -> Response:
    """Answer with one fixed user."""
    return Response(_BODY, media_type="application/json")


async def write(request: Request) -> Response:
    """Read the body and answer with one fixed user."""
    await request.body()
    return Response(_BODY, media_type="application/json")


def main() -> None:
    """Serve on the port in the first argument."""
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
