"""One connection of the gateway: real sockets, and records that answer when they are told to."""

import asyncio
import itertools
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from ddb.gateway.connection import Connection
from ddb.gateway.http import Application
from ddb.gateway.records import Answer, Cursor, Page
from ddb.record.change import Change, Outcome

ADA = b'{"id":"ada","name":"Ada","email":"ada@example.com","group":1}'
LONG = 75.0
PATIENCE = 5.0
"""Seconds that a test waits for what must come."""
PAGES = 64


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


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a loop of its own."""
    asyncio.run(test())


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that must come true."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not holds():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.001)


def request(method: str, path: str, body: bytes = b"", extra: str = "") -> bytes:
    """The bytes of a request."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{extra}{length}\r\n".encode() + body


CHUNKED = (
    b"PATCH /api/users/ada HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'6\r\n{"grou\r\n5\r\np":7}\r\n0\r\nIf-Match: *, "nonsense\r\n\r\n'
)
STREAM = (
    (request("GET", "/api/users/ada"), 200),
    (request("PUT", "/api/users/ada", b'{"group":5}'), 200),
    (CHUNKED, 200),
    (request("GET", "http://here/api/users/nobody?x=1#y"), 404),
    (request("GET", "/api/users/ada#y"), 200),
    (request("PUT", "/api/users/", b'{"id":"ada","group":9}', "Upgrade: h2c\r\n"), 200),
    (request("POST", "/api/users/", b" " * 70_000), 413),
    (request("GET", "/api/users/a%64a/", extra="If-Match: \r\nIF-NONE-MATCH: *\r\n"), 400),
    (request("GET", "/api/users/ada", extra="Connection: close\r\n"), 200),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, sum(len(sent) for sent, _ in STREAM)), max_size=40))
def test_requests_cut_anywhere(cuts: list[int]) -> None:
    """However the bytes of several requests are cut, each has its own answer, in order."""

    async def test() -> None:
        whole = b"".join(sent for sent, _ in STREAM)
        places = [0, *sorted(cuts), len(whole)]
        async with connected() as client:
            client.send(*(whole[a:b] for a, b in itertools.pairwise(places)))
            answers = [await client.answer() for _ in STREAM]
            assert [status for status, _, _ in answers] == [status for _, status in STREAM]
            groups = [json.loads(answers[place][2])["group"] for place in (0, 1, 2, 5)]
            assert groups == [1, 5, 7, 9]
            assert answers[-1][1][b"connection"] == b"close"
            assert await client.rest() == b""

    run(test)


def test_every_single_cut() -> None:
    """One request cut in two, at each of its bytes, is one request."""

    async def test() -> None:
        async with connected() as client:
            for sent in (request("PUT", "/api/users/ada", b'{"group":5}', "A: b\r\n"), CHUNKED):
                for at in range(1, len(sent)):
                    client.send(sent[:at], sent[at:])
                    assert (await client.answer())[0] == 200

    run(test)


def test_one_is_begun_after_the_other() -> None:
    """Requests sent ahead are done one at a time: each finds what the one before it left."""

    async def test() -> None:
        async with connected() as client:
            client.records.gate.clear()
            client.send(request("GET", "/api/users/ada") * 50)
            await until(lambda: client.records.begun == 1)
            assert await client.quiet()
            assert client.records.begun == 1
            client.records.gate.set()
            assert [(await client.answer())[0] for _ in range(50)] == [200] * 50

    run(test)


def test_who_sends_ahead_is_not_listened_to() -> None:
    """While requests wait no more are received, and once they are answered the rest is."""

    async def test() -> None:
        async with connected() as client:
            client.records.gate.clear()
            sent = request("GET", "/api/users/ada", extra=f"X: {'x' * 10_000}\r\n")
            client.writer.write(sent * 4000)
            await until(lambda: client.records.begun == 1)
            assert await client.quiet()
            assert len(client.connection._waiting) < 400
            client.records.gate.set()
            assert [(await client.answer())[0] for _ in range(4000)] == [200] * 4000

    run(test)


def test_who_does_not_read_is_not_answered() -> None:
    """For a client that does not read its answers no more than a few are made."""

    async def test() -> None:
        async with connected() as client:
            client.reader._limit = 1 << 16  # type: ignore[attr-defined]
            client.send(request("GET", "/api/users/?limit=1000") * PAGES)
            begun = -1
            while client.records.begun != begun:
                begun = client.records.begun
                await asyncio.sleep(0.05)
            assert begun < PAGES / 2
            for _ in range(PAGES):
                status, _, body = await client.answer()
                assert (status, len(body)) == (200, 1000 * 100 * len(ADA) + 1001)
            assert client.records.begun == PAGES

    run(test)


def test_client_that_goes_leaves_its_change_to_be_done() -> None:
    """A change under way when its client hangs up is carried through."""

    async def test() -> None:
        async with connected() as client:
            client.records.gate.clear()
            client.send(request("PUT", "/api/users/ada", b'{"group":2}'))
            await until(lambda: client.records.begun == 1)
            client.reset()
            await until(lambda: client.connection._transport is None)
            client.records.gate.set()
            await until(lambda: client.records.ended == 1)

    run(test)


@pytest.mark.parametrize("sent", [b"", b"GET /api/us", request("PUT", "/", b"{}")[:-1]])
def test_silent_connection_is_closed(sent: bytes) -> None:
    """A connection on which nothing comes any more is closed, whatever came before."""

    async def test() -> None:
        async with connected(keep_alive=0.05) as client:
            client.send(sent)
            assert await client.rest() == b""

    run(test)


def test_slow_answer_is_waited_for() -> None:
    """An answer that takes longer than a connection may be silent comes all the same."""

    async def test() -> None:
        async with connected(keep_alive=0.02) as client:
            client.records.gate.clear()
            client.send(request("GET", "/api/users/ada"))
            await asyncio.sleep(0.1)
            client.records.gate.set()
            assert (await client.answer())[0] == 200
            assert await client.rest() == b""

    run(test)


def test_body_is_asked_for_in_its_turn() -> None:
    """Who waits to be asked for a body is asked after the answers to the requests before it."""

    async def test() -> None:
        head = request("PUT", "/api/users/ada", b'{"group":3}', "Expect: 100-continue\r\n")[:-11]
        async with connected() as client:
            client.records.gate.clear()
            client.send(request("GET", "/api/users/ada"), head)
            assert await client.quiet()
            client.records.gate.set()
            assert [(await client.answer())[0] for _ in range(2)] == [200, 100]
            client.send(b'{"group":3}')
            assert json.loads((await client.answer())[2])["group"] == 3

    run(test)


def test_body_that_came_is_not_asked_for() -> None:
    """Who sends a body without waiting to be asked for it, or none at all, is not asked."""

    async def test() -> None:
        whole = request("PUT", "/api/users/ada", b'{"group":3}', "Expect: 100-continue\r\n")
        async with connected() as client:
            client.records.gate.clear()
            none = request("PUT", "/api/users/ada", extra="Expect: 100-continue\r\n")
            client.send(request("GET", "/api/users/ada"), whole, none)
            client.records.gate.set()
            assert [(await client.answer())[0] for _ in range(3)] == [200, 200, 400]
            assert await client.quiet()

    run(test)


def test_stopping_answers_what_has_come() -> None:
    """A gateway that stops answers every request that it has, and then closes."""

    async def test() -> None:
        async with connected() as client:
            client.records.gate.clear()
            client.send(request("GET", "/api/users/ada") * 3)
            client.connection.shutdown()
            client.records.gate.set()
            answers = [await client.answer() for _ in range(3)]
            assert [status for status, _, _ in answers] == [200] * 3
            assert [b"connection" in headers for _, headers, _ in answers] == [False, False, True]
            assert await client.rest() == b""

    run(test)


def test_stopping_waits_for_a_body() -> None:
    """A request of which the head has come when the gateway stops is answered once it is whole."""

    async def test() -> None:
        sent = request("PUT", "/api/users/ada", b'{"group":3}')
        for before in (b"", request("GET", "/api/users/ada")):
            async with connected() as client:
                client.send(before + sent[:-3])
                client.connection.shutdown()
                if before:
                    assert b"connection" not in (await client.answer())[1]
                assert await client.quiet()
                client.send(sent[-3:])
                status, headers, _ = await client.answer()
                assert (status, headers[b"connection"]) == (200, b"close")
                assert await client.rest() == b""

    run(test)


@pytest.mark.parametrize("more", [b"", request("PUT", "/api/users/ada", b"{}")[:-1]])
def test_who_stops_sending_is_answered(more: bytes) -> None:
    """A client that closes its sending half gets the answers that are due, and then the end."""

    async def test() -> None:
        async with connected() as client:
            client.records.gate.clear()
            client.writer.write(request("GET", "/api/users/ada") + more)
            client.writer.write_eof()
            await until(lambda: client.records.begun == 1)
            assert await client.quiet()
            client.records.gate.set()
            status, headers, _ = await client.answer()
            assert (status, headers[b"connection"]) == (200, b"close")
            assert await client.rest() == b""

    run(test)


def test_stopping_closes_what_is_idle() -> None:
    """A connection without a request is closed at once when the gateway stops."""

    async def test() -> None:
        async with connected() as client:
            client.send(request("GET", "/api/users/ada"))
            assert (await client.answer())[0] == 200
            client.connection.shutdown()
            assert await client.rest() == b""

    run(test)


TOO_LONG = b"POST /api/users/ HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n"
CHUNKS = b"POST /api/users/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_stopping_does_not_wait_for_a_body_that_is_passed_over() -> None:
    """Behind a 413 nothing is due, whatever of the body has yet to come."""

    async def test() -> None:
        async with connected() as client:
            client.send(TOO_LONG + b"\r\n")
            assert (await client.answer())[0] == 413
            client.connection.shutdown()
            assert await client.rest() == b""

    run(test)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_what_is_not_here_as_a_whole_is_not_done(method: str) -> None:
    """A request with too long a body is refused, also where no body would have been looked at."""

    async def test() -> None:
        async with connected() as client:
            client.send(request(method, "/api/users/ada", extra="Content-Length: 70000\r\n"))
            assert (await client.answer())[0] == 413
            assert client.records.begun == 0

    run(test)


def test_a_megabyte_in_chunks_is_passed_over() -> None:
    """A well-formed chunked body that is too long has one answer, and the next request its own."""

    async def test() -> None:
        async with connected() as client:
            chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
            client.send(CHUNKS, *[chunk] * 256, b"0\r\n\r\n", request("GET", "/api/users/ada"))
            assert [(await client.answer())[0] for _ in range(2)] == [413, 200]

    run(test)


def test_a_bad_chunk_behind_a_refusal_has_no_answer() -> None:
    """A body that turns out malformed after its request was refused just ends the connection."""

    async def test() -> None:
        async with connected() as client:
            client.send(CHUNKS + b"11171\r\n" + b" " * 70_001 + b"\r\n")
            assert (await client.answer())[0] == 413
            client.send(b"zz\r\n")
            assert await client.rest() == b""

    run(test)


def test_close_behind_a_body_closes() -> None:
    """Where the end of a connection is announced behind a body, it ends, and says so."""

    async def test() -> None:
        sent = CHUNKED.replace(b'If-Match: *, "nonsense', b"Connection: close")
        async with connected() as client:
            client.send(sent + request("GET", "/api/users/ada"))
            status, headers, _ = await client.answer()
            assert (status, headers[b"connection"]) == (200, b"close")
            assert await client.rest() == b""

    run(test)


@pytest.mark.parametrize("extra", [b"Expect: 100-continue\r\n", b"Connection: close\r\n"])
def test_refusal_before_the_body_reaches_its_client(extra: bytes) -> None:
    """A client that is refused before it has sent its body can send it, and read the refusal."""

    async def test() -> None:
        async with connected() as client:
            client.writer.write(TOO_LONG + extra + b"\r\n")
            await until(lambda: client.reader.at_eof() or bool(cast("Any", client.reader)._buffer))
            client.writer.write(b" " * 70_000 + request("GET", "/api/users/ada"))
            await client.writer.drain()
            status, headers, _ = await client.answer()
            assert (status, headers[b"connection"]) == (413, b"close")
            assert await client.rest() == b""
            assert client.records.begun == 0

    run(test)


def test_old_clients_are_not_asked_for_a_body() -> None:
    """HTTP/1.0 knows no 100 (RFC 9110, section 10.1.1)."""

    async def test() -> None:
        whole = request("PUT", "/api/users/ada", b'{"group":3}', "Expect: 100-continue\r\n")
        whole = whole.replace(b"HTTP/1.1", b"HTTP/1.0")
        async with connected() as client:
            client.send(whole[:-5])
            assert await client.quiet()
            client.send(whole[-5:])
            assert (await client.answer())[0] == 200

    run(test)


def test_field_without_end() -> None:
    """A field that matters and never ends, line by line, is not put together."""

    async def test() -> None:
        async with connected() as client:
            client.send(request("GET", "/api/users/ada", extra="If-Match: *\r\n" * 10_000))
            assert (await client.answer())[0] == 400
            assert await client.rest() == b""

    run(test)


def test_grace_that_is_over_ends_the_connection() -> None:
    """A request that is cancelled as the gateway stops leaves nothing behind."""

    async def test() -> None:
        async with connected() as client:
            client.records.gate.clear()
            client.send(request("GET", "/api/users/ada") * 2)
            await until(lambda: client.records.begun == 1)
            cast("Any", client.connection)._task.cancel()
            with suppress(ConnectionResetError):
                assert await client.rest() == b""
            assert client.records.begun == 1

    run(test)


def test_state_can_be_read() -> None:
    """A connection tells in one line what it is about."""

    async def test() -> None:
        async with connected() as client:
            assert "idle, 0 waiting" in repr(client.connection)
            client.records.gate.clear()
            client.send(request("GET", "/api/users/ada") * 3)
            assert "answering, 2 waiting" in repr(client.connection)
            client.records.gate.set()

    run(test)
