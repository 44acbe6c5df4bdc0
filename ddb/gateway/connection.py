"""One client's connection: requests are answered in their order, one at a time.

uvicorn listens, stops in order and knows the date. Its own protocol, written for any ASGI
application, makes of each request a dictionary, a cycle object, an event and a response in pieces:
with it a GET took 19 CPU microseconds of a gateway beside the router and the kernel, and a PUT 31;
with this one, `incoming` and `http` on plain values they take 11 and 20.

What is no HTTP request is answered by 400 in JSON, as every other error is, and only after the
requests before it have had their own answers.
"""

import asyncio
import logging
from collections import deque
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from ddb.gateway.errors import Refused
from ddb.gateway.http import Application
from ddb.gateway.incoming import Incoming
from ddb.gateway.request import Request
from ddb.gateway.response import refusal
from ddb.wire.log_limit import cause

log = logging.getLogger(__name__)

_LINGER = 1.0
"""Seconds for a client to read why its connection ends."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Pending = tuple[Request, bool]
"""A request, and whether its connection is kept after the answer."""


class Connection(asyncio.Protocol):
    """A protocol for uvicorn's `http` setting, which takes a class."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """As uvicorn calls it; the application is an `Application`."""
        del app_state
        self._app = cast("Application", config.loaded_app)
        self._patience = config.timeout_keep_alive
        self._most = config.limit_concurrency
        self._server = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._incoming = Incoming(self)
        self._transport: asyncio.Transport | None = None
        self._client: object = None
        self._heard = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._unread = 0
        # What is answered, and what waits for that.
        self._task: asyncio.Task[None] | None = None
        self._waiting: deque[Pending] = deque()
        self._paused = False
        self._stopping = False
        self._ended = False
        self._malformed: Refused | None = None

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._client = transport.get_extra_info("peername")
        if self._most is not None and len(self._server.connections) >= self._most:
            log.warning(
                "closing a new client connection: all %d that the limit of file descriptors allows"
                " are open. No request was read from it. Raise the limit (`ulimit -n`), or run"
                " another gateway",
                self._most,
                extra=cause("client connection limit"),
            )
            self._transport.abort()
            self._transport = None
            return
        self._server.connections.add(cast("Any", self))
        self._heard = self._loop.time()
        self._idle = self._loop.call_later(self._patience, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop. What has begun goes on: its effects are owed to the cell."""
        del exc
        self._server.connections.discard(cast("Any", self))
        self._transport = None
        self._waiting.clear()
        if self._idle is not None:
            self._idle.cancel()
        self.resume_writing()

    def eof_received(self) -> bool:
        """Called by the loop: the client sends nothing more, and may yet read its answers."""
        self._stopping = True
        self._incoming.cut()
        return self._task is not None

    def pause_writing(self) -> None:
        """Called by the transport: the client does not read what it is answered."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """Called by the transport: the client reads again."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def shutdown(self) -> None:
        """Called by uvicorn: no more requests than those that have come."""
        self._stopping = True
        if self._task is None and not self._incoming.midway and self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._heard = self._loop.time()
        self._incoming.feed(data)

    def _look(self) -> None:
        """End a connection whose client neither says nor reads anything, and waits for nothing."""
        transport = self._transport
        if transport is None:
            return
        now, unread = self._loop.time(), transport.get_write_buffer_size()
        if unread != self._unread or (self._task is not None and not unread):
            self._unread, self._heard = unread, now
        left = self._heard + self._patience - now
        if left > 0:
            self._idle = self._loop.call_later(left, self._look)
        elif unread:
            # To close would be to wait until it has read.
            transport.abort()
        else:
            transport.close()

    # Answering.

    def take(self, request: Request, keep: bool) -> None:
        """As `Taker.take`: answer it, now or in its turn."""
        if self._task is None:
            self._begin(request, keep)
            return
        self._waiting.append((request, keep))
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _begin(self, request: Request, keep: bool) -> None:
        self._task = self._loop.create_task(self._answer(request, keep))
        self._server.tasks.add(self._task)

    async def _answer(self, request: Request, keep: bool) -> None:
        try:
            response = await self._app.respond(request)
            if self._drained is not None:
                await self._drained
        except asyncio.CancelledError:
            # The gateway's grace is over.
            if self._transport is not None:
                self._transport.abort()
            raise
        finally:
            if self._task is not None:
                self._server.tasks.discard(self._task)
                self._task = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        more = self._waiting or self._incoming.midway or self._malformed is not None
        last = not keep or (self._stopping and not more)
        transport.write(
            response.encode(
                # Of all responses there is the date, which uvicorn writes out once a second.
                self._server.default_headers,
                keep_alive=not last,
                with_body=request.method != "HEAD",
            )
        )
        if last:
            self._part(transport)
        elif self._waiting:
            self._begin(*self._waiting.popleft())
        else:
            self._rest(transport)

    def _rest(self, transport: asyncio.Transport) -> None:
        """Everything that has come is answered."""
        if self._ended:
            self._close()
            return
        if self._paused:
            self._paused = False
            transport.resume_reading()
        self.wait_for_body()

    def wait_for_body(self) -> None:
        """As `Taker.wait_for_body`: say that it may come, unless an answer is due before."""
        if self._incoming.waits and self._task is None and self._transport is not None:
            self._incoming.waits = False
            self._transport.write(_CONTINUE)

    def end(self, why: Refused | None) -> None:
        """As `Taker.end`: close after the last answer that is due."""
        self._ended, self._malformed = True, why
        log.info("closing the connection from %s: %s", self._client, why, extra=cause("bad HTTP"))
        if self._task is None:
            self._close()

    def _close(self) -> None:
        transport, why = self._transport, self._malformed
        if transport is None or transport.is_closing():
            return
        if why is not None:
            common = self._server.default_headers
            transport.write(refusal(why).encode(common, keep_alive=False, with_body=True))
        self._part(transport)

    def _part(self, transport: asyncio.Transport) -> None:
        """Close after the last answer, and not before its client can have read it."""
        unread = self._ended or self._incoming.passing
        self._incoming.cut()
        self._waiting.clear()
        if not unread:
            transport.close()
            return
        if self._paused:
            transport.resume_reading()
        # To close with bytes unread is to reset: the client would lose the answer.
        transport.write_eof()
        self._loop.call_later(_LINGER, transport.close)

    def __repr__(self) -> str:
        state = "answering" if self._task is not None else "idle"
        return f"<Connection {self._client} {state}, {len(self._waiting)} waiting>"
