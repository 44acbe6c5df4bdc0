"""The end of a connection: which side ends it, and the responses before that."""

import asyncio
import json

import pytest

from ddb.gateway.http.bounded_http import Message
from ddb.gateway.http.bounds import Bounds
from tests.fakes.records import ADA
from tests.gateway.connected import CHUNKS, TOO_LONG, Lane, connected
from tests.http.raw import request
from tests.loop import run, until


def test_change_continues_after_its_client_disconnects(lane: Lane) -> None:
    """A change in flight completes after its client resets the connection."""

    async def test() -> None:
        async with connected(lane) as client:
            client.records.gate.clear()
            client.send(request("PUT", "/api/users/ada", b'{"group":2}'))
            await until(lambda: client.records.begun == 1)
            client.reset()
            await until(lambda: client.gone)
            client.records.gate.set()
            await until(lambda: client.records.ended == 1)

    run(test())


@pytest.mark.parametrize("sent", [b"", b"GET /api/us", request("PUT", "/", b"{}")[:-1]])
def test_silent_connection_is_closed(lane: Lane, sent: bytes) -> None:
    """The gateway closes a silent connection in each phase of a request."""

    async def test() -> None:
        async with connected(lane, Bounds(idle_s=0.05, head_s=0.05, body_s=0.05)) as client:
            client.send(sent)
            assert await client.remaining() == b""

    run(test())


@pytest.mark.parametrize("extra", ["", "Connection: close\r\n"])
def test_client_that_does_not_read_is_closed(lane: Lane, extra: str) -> None:
    """The gateway closes a client that sends a request and never reads the response."""

    async def test() -> None:
        async with connected(lane, Bounds(unread_s=0.1)) as client:
            client.send(request("GET", "/api/users/?limit=1000", extra=extra))
            await until(lambda: client.connection._unread._size > 0)
            await until(lambda: client.gone)

    run(test())


def test_slow_reader_is_waited_for(lane: Lane) -> None:
    """A client that reads slowly gets the whole response."""

    async def test() -> None:
        async with connected(lane, Bounds(unread_s=0.4, idle_s=0.4)) as client:
            client.send(request("GET", "/api/users/?limit=1000"))
            began, read = asyncio.get_running_loop().time(), 0
            while read < 1000 * 100 * len(ADA):
                await asyncio.sleep(0.06)
                part = len(await client.reader.read(400_000))
                assert part
                read += part
            assert asyncio.get_running_loop().time() - began > 2 * 0.4
            await client.remaining()

    run(test())


def test_slow_answer_is_waited_for(lane: Lane) -> None:
    """A response that takes longer than the idle bound still arrives."""

    async def test() -> None:
        async with connected(lane, Bounds(idle_s=0.02, head_s=0.02, body_s=0.02)) as client:
            client.records.gate.clear()
            client.send(request("GET", "/api/users/ada"))
            await asyncio.sleep(0.1)
            client.records.gate.set()
            assert (await client.answer())[0] == 200
            assert await client.remaining() == b""

    run(test())


def test_stopping_gateway_answers_received_requests(lane: Lane) -> None:
    """A stopping gateway answers each received request, and then closes."""

    async def test() -> None:
        async with connected(lane) as client:
            client.records.gate.clear()
            client.send(request("GET", "/api/users/ada") * 3)
            client.shut_down()
            client.records.gate.set()
            answers = [await client.answer() for _ in range(3)]
            assert [status for status, _, _ in answers] == [200] * 3
            assert [b"connection" in headers for _, headers, _ in answers] == [False, False, True]
            assert await client.remaining() == b""

    run(test())


def test_stopping_waits_for_a_body(lane: Lane) -> None:
    """A stopping gateway waits for the body of a request whose head has arrived."""

    async def test() -> None:
        sent = request("PUT", "/api/users/ada", b'{"group":3}')
        for before in (b"", request("GET", "/api/users/ada")):
            async with connected(lane) as client:
                client.send(before + sent[:-3])
                client.shut_down()
                if before:
                    assert b"connection" not in (await client.answer())[1]
                assert await client.quiet()
                client.send(sent[-3:])
                status, headers, _ = await client.answer()
                assert (status, headers[b"connection"]) == (200, b"close")
                assert await client.remaining() == b""

    run(test())


@pytest.mark.parametrize("more", [b"", request("PUT", "/api/users/ada", b"{}")[:-1]])
def test_half_closed_client_gets_its_responses(lane: Lane, more: bytes) -> None:
    """A client that closes its sending half gets the responses that are due."""

    async def test() -> None:
        async with connected(lane) as client:
            client.records.gate.clear()
            client.writer.write(request("GET", "/api/users/ada") + more)
            client.writer.write_eof()
            await until(lambda: client.records.begun == 1)
            assert await client.quiet()
            client.records.gate.set()
            status, headers, _ = await client.answer()
            assert status == 200
            if not more:
                assert headers[b"connection"] == b"close"
            assert await client.remaining() == b""

    run(test())


def test_stopping_closes_idle_connections(lane: Lane) -> None:
    """A stopping gateway closes a connection without a request at once."""

    async def test() -> None:
        async with connected(lane) as client:
            client.send(request("GET", "/api/users/ada"))
            assert (await client.answer())[0] == 200
            client.shut_down()
            assert await client.remaining() == b""

    run(test())


def test_stopping_does_not_wait_for_a_refused_body(lane: Lane) -> None:
    """After a 413 a stopping gateway does not wait for the remaining body."""

    async def test() -> None:
        async with connected(lane) as client:
            client.send(TOO_LONG + b"\r\n")
            assert (await client.answer())[0] == 413
            client.shut_down()
            assert await client.remaining() == b""

    run(test())


def test_bad_chunk_after_a_refusal_has_no_response(lane: Lane) -> None:
    """A malformed chunk after a refusal ends the connection without a second response."""

    async def test() -> None:
        async with connected(lane) as client:
            client.send(CHUNKS + b"11171\r\n" + b" " * 70_001 + b"\r\n")
            assert (await client.answer())[0] == 413
            client.send(b"zz\r\n")
            assert await client.remaining() == b""

    run(test())


@pytest.mark.parametrize("extra", [b"Expect: 100-continue\r\n", b"Connection: close\r\n"])
def test_refusal_before_the_body_reaches_its_client(lane: Lane, extra: bytes) -> None:
    """A client that gets a refusal early can send its body and read the refusal."""

    async def test() -> None:
        async with connected(lane) as client:
            client.writer.write(TOO_LONG.replace(b"70000", b"5000000") + extra + b"\r\n")
            await until(lambda: not client.is_fast() and client.connection._message is Message.BODY)
            # More than all buffers take: a client that is reset while it sends reads no response.
            client.writer.write(b" " * 5_000_000 + request("GET", "/api/users/ada"))
            await client.writer.drain()
            status, headers, _ = await client.answer()
            assert (status, headers[b"connection"]) == (413, b"close")
            assert await client.remaining() == b""
            assert client.records.begun == 0

    run(test())


@pytest.mark.parametrize(
    ("sent", "applied"),
    [
        (request("GET", "/api/users/ada"), "no"),
        (request("PUT", "/api/users/ada", b'{"group":2}'), "unknown"),
        (request("PUT", "/api/users/ada", b'{"group":2}', "Expect: 100-continue\r\n")[:-1], "no"),
    ],
)
def test_request_beyond_the_grace_period_answers_503(lane: Lane, sent: bytes, applied: str) -> None:
    """A request that outlasts the grace period answers 503 with the right `applied`."""

    async def test() -> None:
        async with connected(lane) as client:
            client.records.gate.clear()
            client.send(sent)
            await until(lambda: bool(client.server.tasks))
            await asyncio.sleep(0.01)
            client.shut_down()
            for task in client.server.tasks:
                task.cancel()
            if b"Expect" in sent:
                assert (await client.answer())[0] == 100
            status, headers, body = await client.answer()
            assert (status, headers[b"connection"]) == (503, b"close")
            assert json.loads(body)["applied"] == applied
            assert await client.remaining() == b""

    run(test())
