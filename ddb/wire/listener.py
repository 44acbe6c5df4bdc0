"""The accepting end of the wire: frames in, a handler in between, frames out.

This is a node's message path. Replies of one loop tick leave in one write. A request whose reply
is there at once costs no task.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

from ddb.runtime.log_limit import cause
from ddb.wire.connection_limits import ConnectionLimits, Connections
from ddb.wire.frames import DamagedFrame, FrameReader, frame
from ddb.wire.messages import (
    CoordinateChange,
    CoordinateGet,
    DiskNotice,
    Failed,
    GetStatus,
    Hello,
    Message,
    Overloaded,
    Reply,
    Request,
    Unwelcome,
    Welcome,
)
from ddb.wire.ports import Clock, Handler

log = logging.getLogger(__name__)

MAX_UNREAD_BYTES = 32 * 1024 * 1024
"""Bytes of replies that a caller may leave unread before the listener closes its connection.

Lower: a caller that is busy with a large LIST loses its connection. Higher: stopped callers cost
memory.
"""
MAX_REQUESTS_IN_FLIGHT = 4_000
"""Requests in flight per connection; the listener refuses further ones.

Lower: a gateway with many clients gets refusals without need. Higher: the node begins requests that
end after their deadline.
"""
SWEEP_EVERY_S = 0.5
"""Seconds between two checks for connections that are silent for too long.

Too low: an idle node wakes for nothing. Too high: strangers stay longer than their timeout.
"""
OWN_STALL_S = 3 * SWEEP_EVERY_S
"""Seconds between two sweeps that show a pause of this process.

Lower: a late sweep extends the timeouts of silent callers. Higher: a pause closes connections of
callers that were not silent.
"""
KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""The kernel probes a connection after 10 s of silence, and closes it after three lost probes.

Too low: a network failure of seconds closes idle connections. Too high: callers whose machine is
down keep their descriptors. The idle timeout closes those whose machine still replies.
"""

MAX_EARLY_REQUESTS = 64
"""Requests that wait for the answer to their caller's Hello. Too low: callers that send ahead lose
their connection. Too high: strangers fill memory."""
UNASKED = 0
"""The correlation of a notice; a link numbers its requests from 1."""

Greet = Callable[[Hello], Coroutine[Any, Any, Welcome | Unwelcome]]


class Listener:
    """Accepts connections and serves them with one handler."""

    def __init__(
        self,
        handler: Handler,
        greet: Greet,
        clock: Clock,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008
    ) -> None:
        self.handler = handler
        self.greet = greet
        self.clock = clock
        self.open: dict[Serving, None] = {}
        """Open connections, oldest first: a fixed order makes a simulated run repeatable."""
        self.connections: Connections[Serving] = Connections(limits)
        self._swept_at = clock.now()
        self._sweeping: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises `OSError` if the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Serving(self), host, port)
        self._swept_at = self.clock.now()
        self._sweeping = loop.call_later(SWEEP_EVERY_S, self._sweep)

    def announce(self, notice: DiskNotice) -> None:
        """Send a notice to every caller that has sent its Hello."""
        for serving in self.open:
            serving.announce(notice)

    def stop(self) -> None:
        """Stop listening, and close every connection."""
        if self._server is not None:
            self._server.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
        for serving in list(self.open):
            serving.close("stopping")

    def _sweep(self) -> None:
        now = self.clock.now()
        if now - self._swept_at > OWN_STALL_S:
            # This process has not yet read the bytes that callers sent meanwhile.
            self.connections.forgive(now - self._swept_at)
        self._swept_at = now
        for serving, reason in list(self.connections.overdue(now)):
            serving.close(reason)
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_EVERY_S, self._sweep)

    def __repr__(self) -> str:
        return f"<Listener {len(self.open)} connections>"


class Serving(asyncio.Protocol):
    """One accepted connection."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._reader: FrameReader[Request] = FrameReader(Request)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._now = listener.clock.now
        self._out: list[bytes] = []
        self._in_flight = 0
        self._tasks: set[asyncio.Future[Reply]] = set()
        self._caller: Hello | None = None
        self._greeting: asyncio.Task[Welcome | Unwelcome] | None = None
        self._early: list[tuple[int, float, Request]] = []
        self.active_at = 0.0
        """When the last bytes arrived."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._listener.open[self] = None
        _probe_peer(transport)
        self.active_at = now = self._now()
        oldest = self._listener.connections.opened(self, now)
        if oldest is not None:
            oldest.close("too many connections without a Hello; the oldest gives way")

    def connection_lost(self, _exc: Exception | None) -> None:
        """Called by the loop.

        Requests in flight continue, since the cell's other nodes may depend on their effects.
        """
        self._listener.open.pop(self, None)
        self._listener.connections.closed(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        try:
            self.active_at = now = self._now()
            for correlation, deadline, request in self._reader.feed(data):
                if self._transport is None:
                    return
                self._dispatch(correlation, deadline, request, now)
        except DamagedFrame as error:
            self.close(f"damaged frame: {error}")

    def announce(self, notice: DiskNotice) -> None:
        """Send a notice, unless the caller is a stranger."""
        if self._caller is not None:
            self._reply(UNASKED, notice)

    def close(self, reason: str) -> None:
        """Close this connection; requests in flight continue."""
        if self._transport is not None:
            caller = self._caller_name()
            # A reason may quote what the caller sent.
            kind = cause(f"close {caller} {reason.partition(':')[0]}")
            log.info("closing the connection from %s: %s", caller, reason, extra=kind)
            self._transport.abort()
            self._transport = None

    def _dispatch(self, correlation: int, deadline: float, request: Request, now: float) -> None:
        if self._caller is None and not isinstance(request, GetStatus):
            self._greet(correlation, deadline, request)
        elif deadline <= now:
            self._reply(correlation, Failed("the deadline had passed"))
        elif self._in_flight >= MAX_REQUESTS_IN_FLIGHT:
            full = "this node has too many requests in flight"
            coordinates = isinstance(request, CoordinateChange | CoordinateGet)
            self._reply(correlation, Overloaded(full) if coordinates else Failed(full))
        else:
            handling = self._listener.handler(request, deadline, self._caller)
            if isinstance(handling, Message):
                self._reply(correlation, handling)
                return
            if not isinstance(handling, asyncio.Future):
                handling = self._loop.create_task(handling)
                # The loop has only weak references to tasks, so the collector might end one.
                self._tasks.add(handling)
                handling.add_done_callback(self._tasks.discard)
            self._in_flight += 1
            handling.add_done_callback(partial(self._finished, correlation))

    def _greet(self, correlation: int, deadline: float, request: Request) -> None:
        if self._greeting is not None and len(self._early) < MAX_EARLY_REQUESTS:
            # The caller did not wait for its Welcome: the request waits for it here.
            self._early.append((correlation, deadline, request))
            return
        if not isinstance(request, Hello) or self._greeting is not None:
            self.close("its first request is not one Hello")
            return
        self._greeting = self._loop.create_task(self._listener.greet(request))
        self._greeting.add_done_callback(partial(self._greeted, correlation, request))

    def _greeted(
        self, correlation: int, request: Hello, greeted: asyncio.Task[Welcome | Unwelcome]
    ) -> None:
        self._greeting = None
        if greeted.cancelled() or self._transport is None:
            return
        error = greeted.exception()
        if error is not None:
            self.close(f"its Hello failed here: {error}")
            return
        greeting = greeted.result()
        self._reply(correlation, greeting)
        if not isinstance(greeting, Unwelcome):
            self._caller = request
            connections = self._listener.connections
            surplus = connections.introduced(self, request.caller, self.active_at)
            if surplus is not None:
                surplus.close(
                    "the limit of file descriptors allows no further connection. No data is"
                    " affected; the caller tries again. Raise the limit (`ulimit -n`), or run fewer"
                    " gateways"
                )
            early, self._early = self._early, []
            now = self._now()
            for each in early:
                self._dispatch(*each, now)
            return
        log.warning("refused %s: %s", request.caller, greeting.reason, extra=cause("refused Hello"))
        self._flush()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _caller_name(self) -> str:
        return "a stranger" if self._caller is None else self._caller.caller

    def _finished(self, correlation: int, handling: asyncio.Future[Reply]) -> None:
        self._in_flight -= 1
        if handling.cancelled():
            return
        error = handling.exception()
        if error is not None:
            # No reply: the effect is uncertain, and to the caller silence means just that.
            log.error("a request from %s failed", self._caller_name(), exc_info=error)
            return
        self._reply(correlation, handling.result())

    def _reply(self, correlation: int, reply: Reply) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(frame(correlation, self._now(), reply))

    def _flush(self) -> None:
        if not self._out:
            return
        data = b"".join(self._out)
        self._out.clear()
        if self._transport is None:
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.close("it does not read its replies")


def _probe_peer(transport: asyncio.BaseTransport) -> None:
    """Make the kernel close this connection once the peer's machine no longer replies."""
    connection = transport.get_extra_info("socket")
    if connection is None:
        # The transport of a simulated network.
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        # Other systems than Linux have other options.
        number = getattr(socket, option, None)
        if number is not None:
            connection.setsockopt(socket.IPPROTO_TCP, number, value)
