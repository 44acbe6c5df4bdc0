"""The fast lane, which serves the most frequent requests without a framework.

It serves GET, PUT, PATCH and DELETE of one user, and POST and PUT with the id in the body. The
requests must be plain HTTP/1.1, one at a time. It hands every request of another kind to the
complete lane (`bounded_http`, `app`), with the bytes so far. That lane then keeps the connection.
The fast lane decides before it writes a byte of the response. Both call `user_requests.answer`.

The code is dense because each GET runs it. With 32 connections a GET costs the gateway 98 us of CPU
on this lane and 280 us on the other. This file and its callees above the router take 16 us.
"""

import asyncio
import logging
from typing import Any, ClassVar, cast

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from ddb.gateway.api.errors import Refused, defect, stopped, too_many_keyed, undecided
from ddb.gateway.api.json_body import MAX_BODY_BYTES
from ddb.gateway.api.paths import id_in
from ddb.gateway.api.response import Response, refusal
from ddb.gateway.api.user_requests import CONDITIONS, answer
from ddb.gateway.api.users import Users
from ddb.gateway.http.bounded_http import BoundedHttp
from ddb.gateway.http.bounds import Bounds, Phase, Unread
from ddb.gateway.http.connection_cap import ConnectionCap
from ddb.gateway.records import TooManyKeyed, Unavailable

log = logging.getLogger(__name__)

MOST_HEAD_BYTES = 8 * 1024
"""Too low: requests with cookies take the slower lane. Too high: no request gets faster."""

_ONE = {b"GET": "GET", b"PUT": "PUT", b"PATCH": "PATCH", b"DELETE": "DELETE"}
_ALL = {b"POST": "POST", b"PUT": "PUT"}
_READ_ONCE = CONDITIONS | {b"host", b"content-length"}
_HANDED_OVER = frozenset({b"expect", b"transfer-encoding", b"upgrade"})


class FastLane(asyncio.Protocol):
    """One client's connection, until the complete lane takes it over."""

    bounds: ClassVar[Bounds] = Bounds()
    complete: ClassVar[type[BoundedHttp]] = BoundedHttp

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Called by uvicorn; `app_state` is the application's `State`."""
        self._config, self._server, self._state = config, server_state, app_state
        self._users: Users = app_state["users"]
        self._cap: ConnectionCap = app_state["cap"]
        self._loop = _loop or asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._since = self._loop.time()
        self._unread = Unread()
        self._drained: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._paused = self._stopping = self._ended = False
        # The unanswered bytes: of the incoming request, or behind the one in progress, not parsed.
        self._received = b""
        self._begun = self._in_body = self._whole = False
        self._ordinary = self._keep = True
        self._lines = 0
        self._method, self._id = "", ""
        self._url = self._body = b""
        self._headers: dict[bytes, bytes] = {}

    # Callbacks of the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(cast("Any", self))
        if len(self._server.connections) > self._cap.limit:
            self._server.connections.discard(cast("Any", self))
            self._cap.refuse(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop. A change in flight continues, because the cell may have begun it."""
        del exc
        self._server.connections.discard(cast("Any", self))
        self._transport = self._parser = None
        self._received = b""
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._task is None:
            if not self._received:
                self._since = self._loop.time()
            self._received += data
            self._read(data)
            return
        self._received += data
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Called by the loop. True: the connection stays open for the response in progress."""
        self._ended = True
        return self._task is not None

    def pause_writing(self) -> None:
        """Called by the transport when its write buffer is full."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """Called by the transport when its write buffer has room again."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def shutdown(self) -> None:
        """Called by uvicorn: accept no request beyond those that have begun."""
        self._stopping = True
        if self._task is None and not self._in_body and self._transport is not None:
            self._transport.close()

    def sweep(self, now: float) -> None:
        """Implement `Swept.sweep`."""
        transport = self._transport
        if transport is None:
            return
        unread = transport.get_write_buffer_size()
        if self._unread.waited(unread, now) > self.bounds.unread_s:
            transport.abort()
        elif not unread and self.bounds.overdue(self._phase(), now - self._since):
            transport.close()

    def _phase(self) -> Phase:
        if self._task is not None:
            return Phase.ANSWER
        if self._in_body:
            return Phase.BODY
        return Phase.HEAD if self._received else Phase.IDLE

    # Parsing, one request at a time.

    def _read(self, data: bytes) -> None:
        """Parse `data`, the end of `self._received`, and start or hand over the request."""
        parser = cast("httptools.HttpRequestParser", self._parser)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._ordinary = False
        head = len(self._received) - len(self._body)
        long = head > MOST_HEAD_BYTES or self._lines > self.bounds.head_lines
        if long or not self._ordinary:
            self._hand_over()
        elif self._whole:
            self._received = b""
            self._begun = self._in_body = self._whole = False
            self._task = self._loop.create_task(self._answer())
            self._server.tasks.add(self._task)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        if self._begun:
            # A pipelined request: the parser does not tell at which byte it begins.
            self._ordinary = False
        self._begun = True
        self._url = self._body = b""
        self._headers = {}
        self._lines = 0

    def on_url(self, url: bytes) -> None:
        """Called by the parser, once per fragment."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._lines += 1
        name = name.lower()
        if name in _READ_ONCE:
            if name in self._headers:
                self._ordinary = False
            self._headers[name] = value
        elif name in _HANDED_OVER:
            self._ordinary = False

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        parser, headers = cast("httptools.HttpRequestParser", self._parser), self._headers
        method = parser.get_method()
        found = id_in(self._url)
        methods = _ONE if found else _ALL
        if (
            found is None
            or method not in methods
            or b"host" not in headers
            or parser.get_http_version() != "1.1"
            or int(headers.get(b"content-length", 0)) > MAX_BODY_BYTES
        ):
            self._ordinary = False
            return
        self._method, self._id = methods[method], found
        self._keep = parser.should_keep_alive()
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        """Called by the parser, once per fragment."""
        self._body += body
        self._since = self._loop.time()

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._whole = True

    # Responses.

    async def _answer(self) -> None:
        try:
            response = await self._response()
            if self._drained is not None:
                await self._drained
        except asyncio.CancelledError:
            # The gateway stops, and its grace period is over.
            if self._transport is not None:
                late = refusal(stopped(self._method, begun=True))
                self._transport.write(late.encode(self._server.default_headers, keep_alive=False))
                self._transport.close()
            raise
        finally:
            if self._task is not None:
                self._server.tasks.discard(self._task)
                self._task = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._server.total_requests += 1
        ends = (self._stopping or self._ended) and not self._received
        keep = self._keep and not ends and not response.closes
        transport.write(response.encode(self._server.default_headers, keep_alive=keep))
        if not keep:
            transport.close()
        elif self._received or self._paused:
            self._go_on(transport)

    async def _response(self) -> Response:
        try:
            return await answer(
                self._users, self._method, self._id or None, self._headers, self._body
            )
        except Refused as refused:
            return refusal(refused)
        except Unavailable as unavailable:
            return refusal(undecided(unavailable))
        except TooManyKeyed as refused:
            return refusal(too_many_keyed(refused))
        except Exception:
            # The client gets 500 and the log the exception, as from Starlette on the other lane.
            log.exception("%s of one user failed", self._method)
            return refusal(defect(self._method))

    def _go_on(self, transport: asyncio.Transport) -> None:
        """Parse the bytes that arrived during the last request."""
        if self._paused:
            self._paused = False
            transport.resume_reading()
        self._since = self._loop.time()
        if self._received:
            self._read(self._received)
        if self._task is not None or self._transport is None:
            return
        # The bytes are part of a request. The rest of it never arrives, or the gateway stops.
        if self._ended or (self._stopping and not self._in_body):
            transport.close()

    def _hand_over(self) -> None:
        """Give the connection, and its unanswered bytes, to the complete lane."""
        transport = cast("asyncio.Transport", self._transport)
        self._server.connections.discard(cast("Any", self))
        self._transport = self._parser = None
        received, self._received = self._received, b""
        other = self.complete(self._config, self._server, self._state, self._loop)
        transport.set_protocol(other)
        other.take_over(transport, received, self._since, full=self._drained is not None)
        if self._stopping:
            other.shutdown()
        if self._ended and not other.eof_received():
            transport.close()

    def __repr__(self) -> str:
        return f"<FastLane {self._phase().value}, {len(self._received)} bytes unanswered>"
