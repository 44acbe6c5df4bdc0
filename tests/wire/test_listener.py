"""The accepting end, over real sockets: a faulty caller loses its own connection only."""

import asyncio
import random
import socket
from pathlib import Path

import pytest

from ddb.node.membership.identity import mint
from ddb.node.node import Node as RealNode
from ddb.node.storage.rocksdb import RocksStore
from ddb.ring.ring import Ring
from ddb.runtime.system_clock import SystemClock
from ddb.settings import Fsync
from ddb.wire import listener
from ddb.wire.connection_limits import ConnectionLimits
from ddb.wire.frames import MAX_FRAME_BYTES, frame
from ddb.wire.messages import (
    PROTOCOL,
    Accepted,
    Boot,
    CoordinateGet,
    Failed,
    GetResult,
    GetStatus,
    Hello,
    Overloaded,
    Ping,
    Pong,
    Reply,
    Unwelcome,
    Welcome,
)
from ddb.wire.network import Network
from tests.loop import SOON, run
from tests.wire.serving import HELLO, Node, Raw, head

NAMES = ("a", "b", "c")


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"GET / HTTP/1.1\r\nHost: db-0\r\n\r\n",
        bytes(64),
        b"\xff" * 64,
        head(MAX_FRAME_BYTES + 1),
        head(0),
        head(40) + b"\xc1" * 28,
        frame(1, 1e9, Accepted()),
        frame(1, 1e9, CoordinateGet(b"k"))[:-3] + b"\xc1\x01k",
    ],
    ids=["http", "zeros", "ones", "oversized", "empty", "payload", "reply", "marker"],
)
@pytest.mark.parametrize("greet", [True, False])
def test_damaged_frame_closes_its_connection_alone(bytes_sent: bytes, greet: bool) -> None:
    """Bytes that are no request close their connection and no other."""

    async def scenario() -> None:
        async with Node() as node:
            other, bad = await Raw.to(node), await Raw.to(node, greet)
            bad.writer.write(bytes_sent)
            assert await bad.closed()
            assert await other.ask(7, CoordinateGet(b"k")) == GetResult(b"k")
            assert node.begun == [CoordinateGet(b"k")]
            again = await Raw.to(node)
            assert await again.ask(8, Ping()) == Pong(True)

    run(scenario())


def test_incomplete_frame_delays_no_other_caller() -> None:
    """A listener waits for the end of a frame, and serves other callers meanwhile."""

    async def scenario() -> None:
        async with Node() as node:
            half, other = await Raw.to(node), await Raw.to(node)
            whole = frame(5, 1e9, CoordinateGet(b"late"))
            half.writer.write(whole[:9])
            assert await other.ask(7, CoordinateGet(b"k")) == GetResult(b"k")
            half.writer.write(whole[9:])
            assert await half.receive() == (5, GetResult(b"late"))

    run(scenario())


def test_stranger_is_not_served() -> None:
    """A request before a Hello closes the connection, and the node does not begin it."""

    async def scenario() -> None:
        async with Node() as node:
            stranger = await Raw.to(node, greet=False)
            stranger.send(1, CoordinateGet(b"k"))
            assert await stranger.closed()
            assert node.begun == []

    run(scenario())


def test_stranger_gets_the_status() -> None:
    """A status request needs no Hello before it."""

    async def scenario() -> None:
        async with Node() as node:
            stranger = await Raw.to(node, greet=False)
            await stranger.ask(1, GetStatus())
            assert node.begun == [GetStatus()]

    run(scenario())


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (Hello(PROTOCOL + 1, b"", "x", 1), "run the same version everywhere"),
        (Hello(PROTOCOL, b"another", "x", 1), "give every process the same list"),
    ],
)
def test_incompatible_caller_gets_the_reason(tmp_path: Path, hello: Hello, reason: str) -> None:
    """A caller with another protocol or placement gets an Unwelcome and loses its connection."""

    async def scenario() -> None:
        store = RocksStore(tmp_path, Fsync.OS)
        rng, ring = random.Random(1), Ring(NAMES)
        me, boot = mint("a", NAMES, rng), Boot(1, 1, (1,), 0)
        real = RealNode(me, boot, ring, store, Network({}), SystemClock(), rng)
        greetings = [
            await real.admission.greet(hello),
            await real.admission.greet(Hello(PROTOCOL, ring.digest, "x", 1)),
        ]
        store.close()
        assert isinstance(greetings[0], Unwelcome)
        assert isinstance(greetings[1], Welcome)
        async with Node() as node:
            friend = await Raw.to(node)
            node.greeting = greetings[0]
            raw = await Raw.to(node, greet=False)
            refused = await raw.ask(1, hello)
            assert isinstance(refused, Unwelcome)
            assert reason in refused.reason
            raw.send(2, CoordinateGet(b"k"))
            assert await raw.closed()
            assert await friend.ask(1, Ping()) == Pong(True)
            assert node.begun == []

    run(scenario())


def test_handler_gets_the_hello_of_the_caller() -> None:
    """The handler gets the Hello of the connection, or None before it."""

    async def scenario() -> None:
        async with Node() as node:
            stranger = await Raw.to(node, greet=False)
            await stranger.ask(1, GetStatus())
            assert node.callers == {None}
            friend = await Raw.to(node)
            await friend.ask(1, CoordinateGet(b"k"))
            assert node.callers == {None, HELLO}

    run(scenario())


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


def test_second_hello_keeps_the_connection() -> None:
    """A second Hello gets a reply, and the connection stays."""

    async def scenario() -> None:
        async with Node() as node:
            raw = await Raw.to(node)
            assert isinstance(await raw.ask(1, HELLO), Welcome | Failed)
            assert await raw.ask(2, Ping()) == Pong(True)

    run(scenario())


def test_kernel_probes_callers() -> None:
    """The kernel closes the connection of a machine that is down within 30 seconds."""

    async def scenario() -> None:
        async with Node() as node:
            await Raw.to(node)
            (serving,) = node.listener.open
            assert serving._transport is not None
            accepted = serving._transport.get_extra_info("socket")
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, interval, count = (
                accepted.getsockopt(socket.IPPROTO_TCP, getattr(socket, option))
                for option, _ in listener.KEEPALIVE
            )
            assert idle + interval * count <= 30

    run(scenario())


def test_silent_stranger_is_closed() -> None:
    """A listener closes a silent connection without a Hello, and keeps one with a Hello."""

    async def scenario() -> None:
        async with Node() as node:
            friend, stranger = await Raw.to(node), await Raw.to(node, greet=False)
            assert await stranger.closed()
            assert await friend.ask(1, Ping()) == Pong(True)

    run(scenario())


def test_gateway_beyond_the_limit_is_closed() -> None:
    """A node at its limit of gateways closes a new one and keeps the others."""

    async def scenario() -> None:
        async with Node(limits=ConnectionLimits(gateways=2)) as node:
            friends = [await Raw.to(node) for _ in range(2)]
            further = await Raw.to(node, greet=False)
            further.send(1, HELLO)
            assert await further.closed()
            for friend in friends:
                assert await friend.ask(1, Ping()) == Pong(True)

    run(scenario())
