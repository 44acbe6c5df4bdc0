"""The callers of a listener: a stranger or faulty caller loses its own connection only."""

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
    Ping,
    Pong,
    Unwelcome,
    Welcome,
)
from ddb.wire.network import Network
from tests.loop import run
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
        (Hello(PROTOCOL, Ring(NAMES).digest, "x", 1, callee="b"), "correct the list of nodes"),
        (Hello(PROTOCOL, Ring(NAMES).digest, "a", 1), "give each node its own name"),
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
