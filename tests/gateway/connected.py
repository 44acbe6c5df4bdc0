"""One connection of the gateway: real sockets, and records that answer when they are told to."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from ddb.gateway.connection import Connection
from ddb.gateway.http import Application
from ddb.gateway.records import Answer, Cursor, Page
from ddb.record.change import Change, Outcome
from tests.loop import until

ADA = b'{"id":"ada","name":"Ada","email":"ada@example.com","group":1}'
LONG = 75.0
PATIENCE = 5.0
"""Seconds that a test waits for what must come."""


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
        connection: Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.records = records
        self.connection = connection
        self.reader = reader
        self.writer = writer

    def send(self, *parts: bytes) -> None:
        """Let the connection receive these bytes, in just these pieces."""
        for part in parts:
            self.connection.data_received(part)

    def reset(self) -> None:
        """Hang up at once, in both directions."""
        end = self.writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """The next answer: status, headers, body (of one that has a length)."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            line, *fields = head[:-4].split(b"\r\n")
            headers = dict(field.split(b": ", 1) for field in fields)
            body = await self.reader.readexactly(int(headers.get(b"content-length", b"0")))
        return int(line.split()[1]), headers, body

    async def rest(self) -> bytes:
        """Whatever else comes until the connection is closed."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def quiet(self) -> bool:
        """Whether nothing comes, for as long as whatever is ready takes to be sent."""
        for _ in range(20):
            await asyncio.sleep(0.001)
        return not cast("Any", self.reader)._buffer


@asynccontextmanager
async def connected(keep_alive: float = LONG) -> AsyncIterator[Client]:
    """One connection to a gateway's HTTP face."""
    records = Kept()
    config = uvicorn.Config(
        cast("Any", Application(records, lambda: "minted")),
        http=Connection,
        interface="asgi3",
        lifespan="off",
        proxy_headers=False,
        timeout_keep_alive=cast("int", keep_alive),
    )
    config.load()
    state = ServerState()
    connection = Connection(config, state, {})
    server = await asyncio.get_running_loop().create_server(lambda: connection, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await until(lambda: bool(state.connections))
    try:
        yield Client(records, connection, reader, writer)
    finally:
        records.gate.set()
        writer.transport.abort()
        await until(lambda: not state.connections and not state.tasks)
        server.close()


CHUNKED = (
    b"PATCH /api/users/ada HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'6\r\n{"grou\r\n5\r\np":7}\r\n0\r\nIf-Match: *, "nonsense\r\n\r\n'
)
TOO_LONG = b"POST /api/users/ HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n"
CHUNKS = b"POST /api/users/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
