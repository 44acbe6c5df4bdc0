"""One connection of the gateway: real sockets, either lane, records that answer when told to."""

import asyncio
import json
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
from ddb.gateway.records import Answer, Cursor, Page, Records
from ddb.record.change import Change, Outcome
from tests.loop import until

ADA = b'{"id":"ada","name":"Ada","email":"ada@example.com","group":1}'
WIDE = Bounds()
WAIT_S = 5.0
"""For what must come."""


class Lane(Enum):
    """The two ways through a gateway."""

    FAST = "fast"
    ASGI = "asgi"


LANES = [Lane.FAST, Lane.ASGI]


class Kept:
    """`Records` that know Ada alone; `gate` holds back every answer."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = 0
        self.ended = 0

    async def read(self, id: str) -> bytes | None:
        """As `Records.read`."""
        await self._pass()
        return ADA if id == "ada" else None

    async def change(self, id: str, change: Change, *, key: str | None = None) -> Answer:
        """As `Records.change`."""
        del key
        await self._pass()
        if id != "ada":
            return Answer(Outcome.ABSENT, None)
        if not change.body:
            return Answer(Outcome.DONE, None)
        return Answer(Outcome.DONE, json.dumps(json.loads(ADA) | json.loads(change.body)).encode())

    async def count(self) -> int:
        """As `Records.count`."""
        await self._pass()
        return 1

    async def page(self, *, after: Cursor | None, offset: int, limit: int) -> Page:
        """As `Records.page`: long enough to fill whatever lies between two sockets."""
        del after, offset
        await self._pass()
        return Page([ADA * 100] * limit, None)

    def ready(self) -> bool:
        """As `Records.ready`."""
        return True

    def status(self) -> dict[str, object]:
        """As `Records.status`."""
        return {}

    async def _pass(self) -> None:
        self.begun += 1
        await self.gate.wait()
        self.ended += 1


class Client:
    """The other end of one connection, and the connection itself."""

    def __init__(
        self,
        records: Kept,
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
        """Let the connection receive these bytes, in just these pieces."""
        for part in parts:
            if not self.gone:
                self.connection.data_received(part)

    def shut_down(self) -> None:
        """Stop, as uvicorn does first."""
        self.connection.shutdown()

    def reset(self) -> None:
        """Hang up at once, in both directions."""
        end = self.writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def answer(self, *, has_body: bool = True) -> tuple[int, dict[bytes, bytes], bytes]:
        """The next answer: status, headers, body (of one that has a length and a body)."""
        async with asyncio.timeout(WAIT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            line, *fields = head[:-4].split(b"\r\n")
            headers = dict(field.split(b": ", 1) for field in fields)
            length = int(headers.get(b"content-length", b"0")) if has_body else 0
            body = await self.reader.readexactly(length)
        return int(line.split()[1]), headers, body

    async def statuses(self, count: int) -> list[int]:
        """The statuses of the next answers."""
        return [(await self.answer())[0] for _ in range(count)]

    async def rest(self) -> bytes:
        """Whatever else comes until the connection is closed."""
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read()

    async def quiet(self) -> bool:
        """Whether nothing comes, for as long as whatever is ready takes to be sent."""
        for _ in range(20):
            await asyncio.sleep(0.001)
        return not cast("Any", self.reader)._buffer


def protocol_of(lane: Lane, bounds: Bounds) -> type[FastLane] | type[BoundedHttp]:
    """A lane's protocol with bounds of its own."""
    limits = bounds

    class Complete(BoundedHttp):
        bounds = limits

    class Fast(FastLane):
        bounds = limits
        complete = Complete

    return Fast if lane is Lane.FAST else Complete


def served(records: Records, cap: int = 1000) -> tuple[uvicorn.Config, State]:
    """What uvicorn gives to a connection: the application's configuration, and its state."""

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[State]:
        yield state

    users = Users(records, load("user"), lambda: "minted")
    state = State(users=users, records=records, cap=ConnectionCap(cap))
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
    """One lane on a port: its server's state, and its address."""
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
    """One connection to one lane of a gateway."""
    records = Kept()
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
