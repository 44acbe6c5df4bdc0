"""Middleware that passes a request on once the whole body has arrived.

An endpoint never waits for its client. So half a body makes no change. A slow body does not use up
the deadline of an operation.

The middleware refuses framing that two HTTP parsers could read differently, and ends the
connection. A parser may read the bytes behind it as a request that no client sent.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ddb.gateway.api.errors import Detail, Error, Refused, stopped
from ddb.gateway.api.excerpt import short
from ddb.gateway.api.json_body import MAX_BODY_BYTES
from ddb.gateway.api.paths import normal
from ddb.gateway.api.response import Response, refusal

LINGER_S = 1.0
"""Seconds for a refused client to finish its request and to read the response.

Too low: the close resets the connection, and the client loses the response. Too high: clients that
only send occupy descriptors.
"""

_VERSIONS = ("1.0", "1.1")


class WholeRequest:
    """Reads the body, and normalizes the path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request by the ASGI protocol."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False
        try:
            check_framing(scope)
            body = await _body(scope, receive)
            if body is not None:
                begun = True
                scope["path"] = normal(scope["raw_path"].decode("ascii"))
                await self._app(scope, _read_from(body, receive), send)
        except Refused as refused:
            await _refuse(refused, receive, send)
        except asyncio.CancelledError:
            # The gateway stops, and its grace period is over. uvicorn would send a plain-text 500.
            await send_response(refusal(stopped(scope["method"], begun=begun)), send)


def check_framing(scope: Scope) -> None:
    """Refuse requests that HTTP forbids and the parser accepts.

    Raises: `Refused` (400, 501, 505).
    """
    version, headers = scope["http_version"], scope["headers"]
    if version not in _VERSIONS:
        message = f"The gateway does not serve HTTP/{version}; nothing was changed; use HTTP/1.1"
        raise _closing(Error.UNKNOWN_VERSION, message)
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        message = f"This request has {hosts} Host headers; nothing was changed; send exactly one"
        raise _closing(Error.INVALID, message, "Host")
    codings = b",".join(value for name, value in headers if name == b"transfer-encoding")
    if codings and codings.strip().lower() != b"chunked":
        message = (
            f"The gateway does not serve the transfer coding {short(codings.decode('latin-1'))};"
            " nothing was changed; send the body with Content-Length or chunked"
        )
        raise _closing(Error.UNKNOWN_CODING, message, "Transfer-Encoding")
    if codings and version == "1.0":
        message = "HTTP/1.0 has no Transfer-Encoding; nothing was changed; send Content-Length"
        raise _closing(Error.INVALID, message, "Transfer-Encoding")


async def send_response(response: Response, send: Send, *, more: bool = False) -> None:
    """Send a response through ASGI.

    `more`: True: the response stays open, and the caller ends it later. False: it ends here.
    """
    start: Message = {
        "type": "http.response.start",
        "status": response.status,
        "headers": response.fields(),
    }
    await send(start)
    await send({"type": "http.response.body", "body": response.body, "more_body": more})


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """Read the whole body; None: the client disconnected first. Raises `Refused` (413)."""
    headers = scope["headers"]
    # A client that sent Expect may or may not send its body after a refusal. The next bytes are
    # ambiguous, so the connection ends (RFC 9110, section 10.1.1).
    unsure = any(name == b"expect" for name, _ in headers)
    declared = next((value for name, value in headers if name == b"content-length"), b"0")
    if int(declared) > MAX_BODY_BYTES:
        raise _too_large(f"this one declares {declared.decode()}", closes=unsure)
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message["body"])
        size += len(message["body"])
        if size > MAX_BODY_BYTES:
            raise _too_large("this one has more", closes=unsure)
        if not message["more_body"]:
            return b"".join(parts)


def _read_from(body: bytes, receive: Receive) -> Receive:
    """Make a `receive` that returns the body first, and then reads on."""
    given = False

    async def read() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


async def _refuse(refused: Refused, receive: Receive, send: Send) -> None:
    """Send the refusal now, and discard the remaining request for `LINGER_S`."""
    await send_response(refusal(refused), send, more=True)
    try:
        async with asyncio.timeout(LINGER_S):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        pass  # The server discards the remaining body, or closes the connection.
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _closing(error: Error, message: str, field: str = "") -> Refused:
    return Refused(error, message, details=(Detail(field, message),), closes=True)


def _too_large(excess: str, *, closes: bool) -> Refused:
    message = (
        f"A body takes at most {MAX_BODY_BYTES} bytes, and {excess}; nothing was changed;"
        " send a smaller body"
    )
    return Refused(Error.TOO_LARGE, message, details=(Detail("", message),), closes=closes)
