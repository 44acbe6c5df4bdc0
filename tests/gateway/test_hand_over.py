"""The fast lane hands a connection over to the complete lane, in each state."""

import asyncio
import json

import pytest

from tests.fakes.records import ADA
from tests.gateway.connected import CHUNKED, Lane, connected
from tests.gateway.test_lanes import GET, PUT
from tests.http.raw import request
from tests.loop import run, until

BEGINNING = GET[:9]
OTHERS = {
    "HEAD": (request("HEAD", "/api/users/ada"), 200),
    "LIST": (request("GET", "/api/users/?limit=1"), 200),
    "COUNT": (request("GET", "/api/users/count"), 200),
    "health": (request("GET", "/healthz"), 200),
    "no path": (request("GET", "/nothing"), 404),
    "wrong method": (request("POST", "/api/users/ada", b"{}"), 405),
    "parameter": (request("GET", "/api/users/ada?x=1"), 400),
    "chunks": (CHUNKED, 200),
    "long head": (request("GET", "/api/users/ada", extra=f"X: {'x' * 9000}\r\n"), 200),
    "long body": (request("PUT", "/api/users/ada", b" " * 70_000), 413),
    "upgrade": (request("PUT", "/api/users/ada", b'{"group":5}', "Upgrade: h2c\r\n"), 200),
    "same field twice": (request("GET", "/api/users/ada", extra='If-Match: "x"\r\n' * 2), 412),
    "whole URL": (request("GET", "http://here/api/users/ada"), 200),
}
LAST = {
    "garbage": (b"garbage\r\n\r\n", 400),
    "no host": (b"GET /api/users/ada HTTP/1.1\r\n\r\n", 400),
    "two hosts": (request("GET", "/api/users/ada", extra="Host: y\r\n"), 400),
    "HTTP/1.0": (b"GET /api/users/ada HTTP/1.0\r\n\r\n", 200),
    "coding": (request("PUT", "/api/users/ada", extra="Transfer-Encoding: a, chunked\r\n"), 501),
    "endless head": (b"GET /api/users/ada HTTP/1.1\r\n" + b"X: y\r\n" * 110, 431),
}


@pytest.mark.parametrize("before", [0, 1, 7])
@pytest.mark.parametrize(("sent", "status"), OTHERS.values(), ids=OTHERS.keys())
def test_hands_over(sent: bytes, status: int, before: int) -> None:
    """The complete lane serves an unusual request and all later ones."""

    async def test() -> None:
        has_body = not sent.startswith(b"HEAD")
        async with connected(Lane.FAST) as client:
            for _ in range(before):
                client.send(PUT)
                assert (await client.answer())[0] == 200
            assert client.is_fast()
            client.send(sent)
            assert (await client.answer(has_body=has_body))[0] == status
            assert not client.is_fast()
            client.send(PUT)
            assert json.loads((await client.answer())[2])["group"] == 5
            assert not client.is_fast()

    run(test())


@pytest.mark.parametrize("before", [0, 1, 7])
@pytest.mark.parametrize(("sent", "status"), LAST.values(), ids=LAST.keys())
def test_hands_over_for_the_last_answer(sent: bytes, status: int, before: int) -> None:
    """The complete lane refuses invalid input after the responses that are due."""

    async def test() -> None:
        async with connected(Lane.FAST) as client:
            client.records.gate.clear()
            client.send(*[GET] * before, sent)
            client.records.gate.set()
            assert await client.statuses(before) == [200] * before
            answered, fields, _ = await client.answer()
            assert (answered, fields[b"connection"]) == (status, b"close")
            assert await client.remaining() == b""

    run(test())


@pytest.mark.parametrize(("sent", "status"), OTHERS.values(), ids=OTHERS.keys())
def test_hands_over_however_it_is_cut(sent: bytes, status: int) -> None:
    """A request split at any byte is handed over whole."""

    async def test() -> None:
        has_body = not sent.startswith(b"HEAD")
        step = max(1, len(sent) // 20)
        for at in range(1, len(sent), step):
            async with connected(Lane.FAST) as client:
                client.send(GET)
                assert (await client.answer())[0] == 200
                client.send(sent[:at], sent[at:])
                assert (await client.answer(has_body=has_body))[0] == status
                client.send(GET)
                assert (await client.answer())[2] == ADA

    run(test())


@pytest.mark.parametrize(("sent", "status"), OTHERS.values(), ids=OTHERS.keys())
def test_hands_over_while_an_answer_is_under_way(sent: bytes, status: int) -> None:
    """A request behind another is handed over after the response to that one."""

    async def test() -> None:
        has_body = not sent.startswith(b"HEAD")
        async with connected(Lane.FAST) as client:
            client.records.gate.clear()
            client.send(PUT)
            await until(lambda: client.records.begun == 1)
            client.send(*(sent[at : at + 700] for at in range(0, len(sent), 700)))
            assert client.is_fast()
            assert client.records.begun == 1
            client.records.gate.set()
            assert (await client.answer())[0] == 200
            assert (await client.answer(has_body=has_body))[0] == status
            client.send(GET)
            assert (await client.answer())[2] == ADA

    run(test())


def test_hands_over_requests_sent_ahead() -> None:
    """The complete lane serves pipelined requests in order."""

    async def test() -> None:
        async with connected(Lane.FAST) as client:
            client.send(PUT + GET + BEGINNING)
            assert not client.is_fast()
            assert await client.statuses(2) == [200, 200]
            client.send(GET[len(BEGINNING) :])
            assert (await client.answer())[2] == ADA
            assert client.records.begun == 3

    run(test())


def test_hands_over_as_the_gateway_stops() -> None:
    """A stopping connection is handed over for its received requests, and then ends."""

    async def test() -> None:
        async with connected(Lane.FAST) as client:
            client.records.gate.clear()
            client.send(GET, CHUNKED)
            client.shut_down()
            client.records.gate.set()
            assert await client.statuses(2) == [200, 200]
            assert await client.remaining() == b""

    run(test())


def test_hands_over_a_client_that_stops_sending() -> None:
    """A half-closed client gets its responses after a hand-over."""

    async def test() -> None:
        async with connected(Lane.FAST) as client:
            client.records.gate.clear()
            client.writer.write(GET)
            await until(lambda: client.records.begun == 1)
            client.writer.write(CHUNKED)
            await client.writer.drain()
            client.writer.write_eof()
            await asyncio.sleep(0.02)
            client.records.gate.set()
            assert await client.statuses(2) == [200, 200]
            assert await client.remaining() == b""

    run(test())


def test_hands_over_a_client_that_reads_late() -> None:
    """A client that is handed over with a response unread gets all its responses."""

    async def test() -> None:
        async with connected(Lane.FAST) as client:
            client.connection.pause_writing()
            client.send(request("GET", "/api/users/?limit=1000"))
            assert not client.is_fast()
            await asyncio.sleep(0.02)
            assert not client.reader._buffer  # type: ignore[attr-defined]
            client.connection.resume_writing()
            status, _, body = await client.answer()
            assert (status, len(body)) == (200, 1000 * 100 * len(ADA) + 1001)

    run(test())
