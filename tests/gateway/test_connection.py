"""Requests on one connection: split, pipelined, refused, and with `Expect`."""

import asyncio
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.records import ADA
from tests.gateway.connected import CHUNKED, CHUNKS, LANES, Lane, connected
from tests.http.raw import request
from tests.loop import run, until

PAGES = 64
MOST_READ = 256 * 1024
"""Bytes that the event loop reads at most per call."""
STREAM = (
    (request("GET", "/api/users/ada"), 200),
    (request("PUT", "/api/users/ada", b'{"group":5}'), 200),
    (CHUNKED, 200),
    (request("GET", "http://here/api/users/nobody#y"), 404),
    (request("GET", "/api/users/ada#y"), 200),
    (request("PUT", "/api/users/", b'{"id":"ada","group":9}', "Upgrade: h2c\r\n"), 200),
    (request("POST", "/api/users/", b" " * 70_000), 413),
    (request("GET", "/api/users/a%64a/", extra="If-Match: \r\nIF-NONE-MATCH: *\r\n"), 400),
    (request("GET", "/api/users/ada", extra="Connection: close\r\n"), 200),
)


@pytest.mark.parametrize("lane", LANES)
@settings(max_examples=80, deadline=None)
@given(cuts=st.lists(st.integers(0, sum(len(sent) for sent, _ in STREAM)), max_size=40))
def test_requests_cut_anywhere(lane: Lane, cuts: list[int]) -> None:
    """Requests split at any bytes get their own responses, in order."""

    async def test() -> None:
        whole = b"".join(sent for sent, _ in STREAM)
        places = [0, *sorted(cuts), len(whole)]
        async with connected(lane) as client:
            client.send(*(whole[a:b] for a, b in itertools.pairwise(places)))
            answers = [await client.answer() for _ in STREAM]
            assert [status for status, _, _ in answers] == [status for _, status in STREAM]
            groups = [json.loads(answers[place][2])["group"] for place in (0, 1, 2, 5)]
            assert groups == [1, 5, 7, 9]
            assert answers[-1][1][b"connection"] == b"close"
            assert await client.remaining() == b""

    run(test())


def test_every_single_cut(lane: Lane) -> None:
    """A request split at any byte is one request."""

    async def test() -> None:
        async with connected(lane) as client:
            for sent in (request("PUT", "/api/users/ada", b'{"group":5}', "A: b\r\n"), CHUNKED):
                for at in range(1, len(sent)):
                    client.send(sent[:at], sent[at:])
                    assert (await client.answer())[0] == 200

    run(test())


def test_pipelined_requests_run_one_at_a_time(lane: Lane) -> None:
    """A pipelined request starts after the response to the one before it."""

    async def test() -> None:
        async with connected(lane) as client:
            client.records.gate.clear()
            client.send(request("GET", "/api/users/ada") * 50)
            await until(lambda: client.records.begun == 1)
            assert await client.quiet()
            assert client.records.begun == 1
            client.records.gate.set()
            assert [(await client.answer())[0] for _ in range(50)] == [200] * 50

    run(test())


def test_reading_pauses_while_requests_wait(lane: Lane) -> None:
    """The gateway stops reading while requests wait, and then reads the others."""

    async def test() -> None:
        async with connected(lane) as client:
            client.records.gate.clear()
            sent = request("GET", "/api/users/ada", extra=f"X: {'x' * 10_000}\r\n")
            client.writer.write(sent * 4000)
            await until(lambda: client.records.begun == 1)
            assert await client.quiet()
            assert len(client.connection._unanswered) < 5
            assert len(client.connection._input) <= MOST_READ
            client.records.gate.set()
            assert [(await client.answer())[0] for _ in range(4000)] == [200] * 4000

    run(test())


def test_client_that_does_not_read_gets_few_responses(lane: Lane) -> None:
    """The gateway runs only a few requests of a client that reads no responses."""

    async def test() -> None:
        async with connected(lane) as client:
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

    run(test())


def test_100_continue_follows_earlier_responses(lane: Lane) -> None:
    """The gateway sends 100 after the responses to earlier requests."""

    async def test() -> None:
        head = request("PUT", "/api/users/ada", b'{"group":3}', "Expect: 100-continue\r\n")[:-11]
        async with connected(lane) as client:
            client.records.gate.clear()
            client.send(request("GET", "/api/users/ada"), head)
            assert await client.quiet()
            client.records.gate.set()
            assert [(await client.answer())[0] for _ in range(2)] == [200, 100]
            client.send(b'{"group":3}')
            assert json.loads((await client.answer())[2])["group"] == 3

    run(test())


def test_100_continue_is_sent_at_most_once(lane: Lane) -> None:
    """The gateway sends at most one 100 per request, before its response."""

    async def test() -> None:
        whole = request("PUT", "/api/users/ada", b'{"group":3}', "Expect: 100-continue\r\n")
        async with connected(lane) as client:
            for parts in ((whole,), (whole[:-5], whole[-5:])):
                client.send(*parts)
                status = (await client.answer())[0]
                if status == 100:
                    status = (await client.answer())[0]
                assert status == 200
                assert await client.quiet()

    run(test())


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_too_long_body_is_refused_with_every_method(lane: Lane, method: str) -> None:
    """A request with too long a body is refused, even if its method needs no body."""

    async def test() -> None:
        async with connected(lane) as client:
            client.send(request(method, "/api/users/ada", extra="Content-Length: 70000\r\n"))
            assert (await client.answer())[0] == 413
            assert client.records.begun == 0

    run(test())


def test_megabyte_in_chunks_gets_one_response(lane: Lane) -> None:
    """After a chunked body that is too long, the next request gets its own response."""

    async def test() -> None:
        async with connected(lane) as client:
            chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
            client.send(CHUNKS, *[chunk] * 256, b"0\r\n\r\n", request("GET", "/api/users/ada"))
            assert [(await client.answer())[0] for _ in range(2)] == [413, 200]

    run(test())


def test_http_1_0_gets_no_100(lane: Lane) -> None:
    """The gateway sends no 100 to HTTP/1.0 (RFC 9110, section 10.1.1)."""

    async def test() -> None:
        whole = request("PUT", "/api/users/ada", b'{"group":3}', "Expect: 100-continue\r\n")
        whole = whole.replace(b"HTTP/1.1", b"HTTP/1.0")
        async with connected(lane) as client:
            client.send(whole[:-5])
            assert await client.quiet()
            client.send(whole[-5:])
            assert (await client.answer())[0] == 200

    run(test())


def test_field_without_end(lane: Lane) -> None:
    """A field that matters and never ends, line by line, is not put together."""

    async def test() -> None:
        async with connected(lane) as client:
            client.send(request("GET", "/api/users/ada", extra="If-Match: *\r\n" * 10_000))
            assert (await client.answer())[0] == 431
            assert await client.remaining() == b""

    run(test())


def test_state_can_be_read(lane: Lane) -> None:
    """The `repr` of a connection shows its phase in one line."""

    async def test() -> None:
        async with connected(lane) as client:
            assert "idle" in repr(client.connection)
            client.records.gate.clear()
            client.send(request("GET", "/api/users/ada"))
            assert "answer" in repr(client.connection)
            client.send(request("GET", "/api/users/ada") * 2)
            client.records.gate.set()
            assert await client.statuses(3) == [200] * 3

    run(test())
