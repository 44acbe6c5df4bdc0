"""A real listener with a handler for tests, and raw connections to it."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from ddb.runtime.system_clock import SystemClock
from ddb.wire.connection_limits import ConnectionLimits
from ddb.wire.frames import FrameReader, frame
from ddb.wire.listener import Listener
from ddb.wire.messages import (
    PROTOCOL,
    CoordinateGet,
    DiskState,
    Failed,
    GetResult,
    Hello,
    Ping,
    Pong,
    Reply,
    Request,
    Unwelcome,
    Welcome,
)
from ddb.wire.ports import Handling
from tests.loop import SOON

HOST = "127.0.0.1"
RING = b"the ring"
NAME = "db-0"
HELLO = Hello(PROTOCOL, RING, "tester", 1)
CLOCK = SystemClock()


@dataclass(slots=True)
class Node:
    """A node that replies to a get with its key, and records the requests that it begins.

    `slow`: makes the reply instead, if it is set.
    """

    ready: bool = True
    disk: DiskState = DiskState.HEALTHY
    begun: list[Request] = field(default_factory=list)
    callers: set[Hello | None] = field(default_factory=set)
    slow: Callable[[CoordinateGet], Awaitable[Reply]] | None = None
    greeting: Welcome | Unwelcome = field(default_factory=lambda: Welcome(NAME, 1))
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    listener: Listener = field(init=False)
    port: int = 0
    raws: "list[Raw]" = field(default_factory=list)

    async def __aenter__(self) -> Self:
        """Listen, on the previous port if there was one."""
        self.listener = Listener(self.handle, self.greet, CLOCK, self.limits)
        await self.listener.start(HOST, self.port)
        server = self.listener._server
        assert server is not None
        self.port = server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, close all connections, and let the loop process that."""
        self.listener.stop()
        for raw in self.raws:
            raw.close()
        await asyncio.sleep(0.01)

    async def greet(self, _hello: Hello) -> Welcome | Unwelcome:
        """Reply to a Hello."""
        return self.greeting

    def handle(self, request: Request, deadline: float, caller: Hello | None) -> Handling:
        """Reply to one request."""
        self.callers.add(caller)
        if isinstance(request, Ping):
            return Pong(self.ready, self.disk)
        self.begun.append(request)
        if not isinstance(request, CoordinateGet):
            return Failed("no such request")
        return GetResult(request.key) if self.slow is None else self._slowly(request)

    async def _slowly(self, request: CoordinateGet) -> Reply:
        assert self.slow is not None
        return await self.slow(request)


class Raw:
    """A connection on which a test chooses every frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader
        self._frames: FrameReader[Reply] = FrameReader(Reply)
        self._read: list[tuple[int, float, Reply]] = []

    @classmethod
    async def to(cls, node: Node, greet: bool = True) -> Self:
        """Connect.

        `greet`: True to send a Hello first. False: remain a stranger.
        """
        raw = cls(*await asyncio.open_connection(HOST, node.port))
        node.raws.append(raw)
        if greet:
            assert isinstance(await raw.ask(0, HELLO), Welcome)
        return raw

    def send(self, correlation: int, request: Request | Reply, within: float = SOON) -> None:
        """Send one frame whose deadline is `within` seconds from now."""
        self.writer.write(frame(correlation, CLOCK.now() + within, request))

    async def receive(self) -> tuple[int, Reply] | None:
        """Return the next reply; None if the connection was closed."""
        while not self._read:
            try:
                data = await asyncio.wait_for(self._reader.read(65_536), SOON)
            except ConnectionError:
                return None
            if not data:
                return None
            self._read += self._frames.feed(data)
        correlation, _, reply = self._read.pop(0)
        return correlation, reply

    async def ask(self, correlation: int, request: Request, within: float = SOON) -> Reply:
        """Return the reply to one request."""
        self.send(correlation, request, within)
        reply = await self.receive()
        assert reply is not None, "the connection was closed"
        assert reply[0] == correlation
        return reply[1]

    async def closed(self) -> bool:
        """Return True if the listener closes the connection without a reply."""
        return await self.receive() is None

    def close(self) -> None:
        """Close the connection at once."""
        self.writer.transport.abort()


def head(length: int, correlation: int = 1) -> bytes:
    """Return the header of a frame with this length."""
    return struct.pack(">IIQ", length, correlation, 0)
