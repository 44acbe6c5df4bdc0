"""The requests of a listener, over real sockets: order, deadlines, failures and limits."""

import asyncio
import random

import pytest

from ddb.wire import listener
from ddb.wire.messages import (
    CoordinateGet,
    Failed,
    GetResult,
    Overloaded,
    Ping,
    Pong,
    Reply,
)
from tests.loop import SOON, run
from tests.wire.serving import Node, Raw


def test_expired_request_is_not_begun() -> None:
    """A listener refuses a request past its deadline, and serves the next one."""

    async def scenario() -> None:
        async with Node() as node:
            raw = await Raw.to(node)
            assert isinstance(await raw.ask(1, CoordinateGet(b"late"), within=-0.001), Failed)
            assert await raw.ask(2, CoordinateGet(b"k")) == GetResult(b"k")
            assert node.begun == [CoordinateGet(b"k")]

    run(scenario())


def test_replies_find_their_requests_in_any_order() -> None:
    """Each of many requests in flight gets its own reply, in any order."""

    async def scenario() -> None:
        order = random.Random(1)

        async def slow(request: CoordinateGet) -> Reply:
            await asyncio.sleep(order.uniform(0, 0.05))
            return GetResult(request.key)

        async with Node(slow=slow) as node:
            raw = await Raw.to(node)
            for number in range(500):
                raw.send(number, CoordinateGet(b"%d" % number))
            replies = [await raw.receive() for _ in range(500)]
            numbers = [each[0] for each in replies if each is not None]
            assert sorted(numbers) == list(range(500))
            assert numbers != sorted(numbers)
            assert all(each and each[1] == GetResult(b"%d" % each[0]) for each in replies)

    run(scenario())


def test_failing_request_gets_no_reply() -> None:
    """A request whose handler raises gets no reply, since its effect is uncertain."""

    async def scenario() -> None:
        async def fail(request: CoordinateGet) -> Reply:
            raise LookupError(request.key)

        async with Node(slow=fail) as node:
            raw = await Raw.to(node)
            raw.send(1, CoordinateGet(b"k"))
            assert await raw.ask(2, Ping()) == Pong(True)

    run(scenario())


def test_request_continues_after_its_caller_disconnects() -> None:
    """A caller that disconnects does not stop its requests."""

    async def scenario() -> None:
        began, go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(request: CoordinateGet) -> Reply:
            began.set()
            await go.wait()
            ended.set()
            return GetResult(request.key)

        async with Node(slow=slow) as node:
            raw = await Raw.to(node)
            raw.send(1, CoordinateGet(b"k"))
            await asyncio.wait_for(began.wait(), SOON)
            raw.close()
            for _ in range(1000):
                if not node.listener.open:
                    break
                await asyncio.sleep(0.001)
            assert not node.listener.open
            go.set()
            await asyncio.wait_for(ended.wait(), SOON)

    run(scenario())


def test_too_many_requests_in_flight_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection at its limit of requests in flight gets Overloaded for further ones."""
    monkeypatch.setattr(listener, "MAX_REQUESTS_IN_FLIGHT", 3)

    async def scenario() -> None:
        go = asyncio.Event()

        async def slow(request: CoordinateGet) -> Reply:
            await go.wait()
            return GetResult(request.key)

        async with Node(slow=slow) as node:
            raw = await Raw.to(node)
            for number in range(5):
                raw.send(number, CoordinateGet(b"k"))
            for number in (3, 4):
                reply = await raw.receive()
                assert reply is not None
                assert reply[0] == number
                assert isinstance(reply[1], Overloaded)
            assert len(node.begun) == 3
            go.set()
            assert [await raw.receive() for _ in range(3)] == [
                (n, GetResult(b"k")) for n in range(3)
            ]

    run(scenario())


def test_caller_that_does_not_read_loses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener closes a connection with too many unread replies."""
    monkeypatch.setattr(listener, "MAX_UNREAD_BYTES", 100_000)

    async def scenario() -> None:
        async with Node() as node:
            other, deaf = await Raw.to(node), await Raw.to(node)
            for number in range(200):
                deaf.send(number, CoordinateGet(b"x" * 100_000))
                if len(node.listener.open) == 1:
                    break
                await asyncio.sleep(0.001)
            for _ in range(1000):
                if len(node.listener.open) == 1:
                    break
                await asyncio.sleep(0.005)
            assert len(node.listener.open) == 1
            assert await other.ask(1, Ping()) == Pong(True)

    run(scenario())


def test_stopped_listener_closes_every_connection() -> None:
    """A listener that stops closes its connections and accepts no new one."""

    async def scenario() -> None:
        async with Node() as node:
            raw = await Raw.to(node)
            assert repr(node.listener) == "<Listener 1 connections>"
        assert await raw.closed()
        with pytest.raises(ConnectionRefusedError):
            await Raw.to(node)

    run(scenario())
