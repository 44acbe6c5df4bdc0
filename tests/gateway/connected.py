"""A connection to one lane of a gateway, on real sockets, over controlled records."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from ddb.gateway.api.schema import load
from ddb.gateway.api.users import Users
from ddb.gateway.app import State, application
from ddb.gateway.fast_lane import FastLane
from ddb.gateway.http.bounded_http import BoundedHttp
from ddb.gateway.http.bounds import Bounds, Sweeper
from ddb.gateway.http.connection_cap import ConnectionCap
from ddb.gateway.records import Records
from ddb.ring.ring import Ring
from ddb.ring.verdict import Judge, Verdict
from tests.fakes.records import FakeRecords
from tests.loop import until

JUDGE = Judge(Ring(("db-0", "db-1", "db-2")))
WIDE = Bounds()
WAIT_S = 5.0
"""Seconds until a test fails because an event did not come."""


class Lane(Enum):
    """The two lanes of a gateway."""

    FAST = "fast"
    ASGI = "asgi"


LANES = [Lane.FAST, Lane.ASGI]


class Client:
    """A client, and the protocol that serves its connection."""

    def __init__(
        self,
        records: FakeRecords,
        server: ServerState,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.records = records
        self.server = server
        self.reader = reader
        self.writer = writer

    @property
    def connection(self) -> Any:
        """The protocol that serves this connection now."""
        (protocol,) = self.server.connections
        return protocol

    @property
    def gone(self) -> bool:
        """Whether the gateway has ended the connection."""
        return not self.server.connections

    def is_fast(self) -> bool:
        """Whether the fast lane still has the connection."""
        return isinstance(self.connection, FastLane)

    def send(self, *parts: bytes) -> None:
        """Give the protocol these bytes, in exactly these pieces."""
        for part in parts:
            if not self.gone:
                self.connection.data_received(part)

    def shut_down(self) -> None:
        """Call `shutdown`, as a stopping uvicorn does first."""
        self.connection.shutdown()

    def reset(self) -> None:
        """Reset the connection."""
        end = self.writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def answer(self, *, has_body: bool = True) -> tuple[int, dict[bytes, bytes], bytes]:
        """Read the next response: status, headers, body.

        `has_body`: False: a content-length is not followed by a body, as after HEAD.
        """
        async with asyncio.timeout(WAIT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            line, *fields = head[:-4].split(b"\r\n")
            headers = dict(field.split(b": ", 1) for field in fields)
            length = int(headers.get(b"content-length", b"0")) if has_body else 0
            body = await self.reader.readexactly(length)
        return int(line.split()[1]), headers, body

    async def statuses(self, count: int) -> list[int]:
        """Read the statuses of the next responses."""
        return [(await self.answer())[0] for _ in range(count)]

    async def remaining(self) -> bytes:
        """Read all bytes until the connection closes."""
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read()

    async def quiet(self) -> bool:
        """Return whether no byte arrives for as long as a ready response takes."""
        for _ in range(20):
            await asyncio.sleep(0.001)
        return not cast("Any", self.reader)._buffer


def protocol_of(lane: Lane, bounds: Bounds) -> type[FastLane] | type[BoundedHttp]:
    """Make a lane's protocol with these bounds."""
    limits = bounds

    class Complete(BoundedHttp):
        bounds = limits

    class Fast(FastLane):
        bounds = limits
        complete = Complete

    return Fast if lane is Lane.FAST else Complete


def served(records: Records, cap: int = 1000) -> tuple[uvicorn.Config, State]:
    """Make the configuration and the state that uvicorn gives to a connection."""

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[State]:
        yield state

    users = Users(records, load("user"), lambda: "minted")

    def verdict() -> Verdict:
        deciding = {"db-0", "db-1", "db-2"} if records.ready() else {"db-0"}
        return JUDGE.verdict(deciding, deciding)

    state = State(users=users, records=records, verdict=verdict, cap=ConnectionCap(cap))
    config = uvicorn.Config(
        application(lifespan),
        interface="asgi3",
        ws="none",
        lifespan="off",
        log_config=None,
        proxy_headers=False,
    )
    config.load()
    return config, state


@asynccontextmanager
async def listening(
    lane: Lane, records: Records, *, bounds: Bounds = WIDE, cap: int = 1000
) -> AsyncIterator[tuple[ServerState, Sequence[Any]]]:
    """Serve one lane on a port; yields the server's state, and the address."""
    config, state = served(records, cap)
    server = ServerState()
    protocol = protocol_of(lane, bounds)
    listener = await asyncio.get_running_loop().create_server(
        lambda: protocol(config, server, cast("dict[str, Any]", state)), "127.0.0.1", 0
    )
    sweeper = Sweeper(cast("Any", server.connections), 0.01)
    sweeper.start()
    try:
        yield server, listener.sockets[0].getsockname()
    finally:
        sweeper.stop()
        listener.close()


@asynccontextmanager
async def connected(lane: Lane, bounds: Bounds = WIDE) -> AsyncIterator[Client]:
    """Open one connection to one lane of a gateway."""
    records = FakeRecords()
    async with listening(lane, records, bounds=bounds) as (server, address):
        reader, writer = await asyncio.open_connection(*address)
        await until(lambda: bool(server.connections))
        try:
            yield Client(records, server, reader, writer)
        finally:
            records.gate.set()
            writer.transport.abort()
            await until(lambda: not server.connections and not server.tasks)


CHUNKED = (
    b"PATCH /api/users/ada HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'6\r\n{"grou\r\n5\r\np":7}\r\n0\r\nIf-Match: *, "nonsense\r\n\r\n'
)
TOO_LONG = b"POST /api/users/ HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n"
CHUNKS = b"POST /api/users/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
