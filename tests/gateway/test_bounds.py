"""Bounds on one client: time, bytes, lines, memory and connections."""

import asyncio
import json
import logging
import tracemalloc

import pytest

from ddb.gateway.http.bounds import Bounds, Phase, Unread
from tests.fakes.records import ADA, FakeRecords
from tests.gateway.connected import CHUNKS, Lane, connected, listening
from tests.http.raw import request
from tests.loop import run, until

GET = request("GET", "/api/users/ada")
BEGINNINGS = 36
MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("more", [b"", request("HEAD", "/api/users/ada")])
def test_slow_head_is_cut(lane: Lane, more: bytes) -> None:
    """A head that comes byte by byte is cut at its time, counted from its first byte."""

    async def test() -> None:
        async with connected(lane, Bounds(head_s=0.2, idle_s=60)) as client:
            if more:
                client.send(more)
                await client.answer(has_body=False)
            began = asyncio.get_running_loop().time()
            for byte in GET * 10:
                if client.gone:
                    break
                client.send(bytes([byte]) if byte != ord("\r") else b"x")
                await asyncio.sleep(0.01)
            assert client.gone
            assert 0.2 <= asyncio.get_running_loop().time() - began < 1

    run(test())


def test_slow_head_is_cut_behind_the_hand_over() -> None:
    """Handing over gives a slow head no new time."""

    async def test() -> None:
        async with connected(Lane.FAST, Bounds(head_s=0.3, idle_s=60)) as client:
            client.send(b"GET / HTTP/1.1\r\n")
            await asyncio.sleep(0.2)
            client.send(b"X: " + b"x" * 9000)
            assert not client.is_fast()
            await asyncio.sleep(0.2)
            assert client.gone

    run(test())


def test_slow_body_is_cut_without_progress_only(lane: Lane) -> None:
    """A body may take its time, as long as some of it comes; then it is cut, and nothing done."""

    async def test() -> None:
        sent = request("PUT", "/api/users/ada", b'{"group":3}')
        async with connected(lane, Bounds(body_s=0.1, head_s=60, idle_s=60)) as client:
            client.send(sent[:-11])
            for byte in sent[-11:-1]:
                await asyncio.sleep(0.05)
                client.send(bytes([byte]))
            assert not client.gone
            assert await client.remaining() == b""
            assert client.records.begun == 0

    run(test())


def test_empty_lines_are_no_progress(lane: Lane) -> None:
    """A client that sends only line ends before a request is idle."""

    async def test() -> None:
        async with connected(lane, Bounds(idle_s=0.2, head_s=0.2)) as client:
            for _ in range(100):
                client.send(b"\r\n")
                await asyncio.sleep(0.01)
            assert client.gone

    run(test())


def test_chunk_extensions_are_bounded(lane: Lane) -> None:
    """Chunk extensions that do not end answer 431, and a body in chunks of one byte is taken."""

    async def test() -> None:
        body = json.dumps({"group": 3}).encode().ljust(20_000)
        tiny = b"".join(b"1;a\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        head = CHUNKS.replace(b"POST /api/users/", b"PUT /api/users/ada")
        async with connected(lane) as client:
            client.send(head + tiny)
            assert (await client.answer())[0] == 200
            client.send(head, *[b"1;" + b"x" * 4000 + b"\r\n{\r\n"] * 40)
            assert (await client.answer())[0] == 431
            assert await client.remaining() == b""
            assert client.records.begun == 1

    run(test())


def test_trailers_are_bounded(lane: Lane) -> None:
    """Trailers that do not end are refused, in bytes and in lines."""

    async def test() -> None:
        for line, times in ((b"X: " + b"x" * 1000, 70), (b"X: y", 120)):
            async with connected(lane) as client:
                client.send(CHUNKS + b"2\r\n{}\r\n0\r\n", *[line + b"\r\n"] * times)
                assert (await client.answer())[0] == 431

    run(test())


@pytest.mark.parametrize("line", [b"a:\r\n", b"X: " + b"x" * 60_000, b"\r\n"])
def test_unfinished_heads_take_little_memory(lane: Lane, line: bytes) -> None:
    """Many connections with half a head take no more than their bounds."""

    async def test() -> None:
        async with listening(lane, FakeRecords()) as (server, address):
            clients = [await asyncio.open_connection(*address) for _ in range(BEGINNINGS)]
            await until(lambda: len(server.connections) == BEGINNINGS)
            tracemalloc.start()
            for _ in range(4):
                for connection in tuple(server.connections):
                    connection.data_received(
                        b"GET / HTTP/1.1\r\n" + line * (128 * 1024 // len(line))
                    )
            used, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert used < BEGINNINGS * 256 * 1024
            for _, writer in clients:
                writer.transport.abort()
            await until(lambda: not server.connections)

    run(test())


def test_requests_sent_ahead_take_little_memory(lane: Lane) -> None:
    """A client that sends requests without end and reads on is answered from bounded memory."""

    async def test() -> None:
        async with connected(lane) as client:
            # The gateway reads 256 KiB at a time, of requests that take 60 times their bytes.
            client.send(request("HEAD", "/healthz"))
            await client.answer(has_body=False)
            tracemalloc.start()
            client.records.gate.clear()
            client.send(GET * 6000)
            await asyncio.sleep(0.02)
            used, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert used < 2 * MEGABYTE
            client.records.gate.set()
            assert await client.statuses(6000) == [200] * 6000

    run(test())


async def everything(reader: asyncio.StreamReader) -> bytes:
    """All bytes until the connection ends, in order or by a reset."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


def test_connections_beyond_the_cap_are_refused(
    lane: Lane, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond the cap the gateway closes a connection unread; the others continue."""

    async def test() -> None:
        async with listening(lane, FakeRecords(), cap=2) as (server, address):
            kept = [await asyncio.open_connection(*address) for _ in range(2)]
            await until(lambda: len(server.connections) == 2)
            for _ in range(3):
                reader, writer = await asyncio.open_connection(*address)
                assert await everything(reader) == b""
                writer.close()
            assert len(server.connections) == 2
            for reader, writer in kept:
                writer.write(GET)
                assert (await reader.readuntil(ADA)).startswith(b"HTTP/1.1 200 ")
            kept[0][1].close()
            await until(lambda: len(server.connections) == 1)
            reader, writer = await asyncio.open_connection(*address)
            writer.write(request("HEAD", "/api/users/ada"))
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            for _, each in (*kept, (reader, writer)):
                each.close()
            await until(lambda: not server.connections)

    with caplog.at_level(logging.WARNING):
        run(test())
    assert {record.message.split(":")[0] for record in caplog.records} == {
        "the gateway closes a new client connection"
    }


def test_phases_have_their_own_limits() -> None:
    """Each phase is overdue after its own time, and an answer never is."""
    bounds = Bounds(idle_s=1, head_s=2, body_s=3)
    found = {phase: [bounds.overdue(phase, waited) for waited in (1, 2, 3, 4)] for phase in Phase}
    assert found == {
        Phase.IDLE: [False, True, True, True],
        Phase.HEAD: [False, False, True, True],
        Phase.BODY: [False, False, False, True],
        Phase.ANSWER: [False] * 4,
    }


def test_progress_of_a_reader() -> None:
    """A client that reads anything, or has nothing to read, makes progress."""
    unread = Unread()
    assert [unread.waited(size, now) for size, now in ((0, 1), (9, 2), (9, 5), (8, 6), (8, 7))] == [
        0,
        0,
        3,
        0,
        1,
    ]
