"""The calling end, over real sockets: exact about sent requests, and connected again by itself."""

import asyncio
import time

import pytest

from ddb.wire.link import Link
from ddb.wire.messages import CoordinateGet, GetResult, Ping, Pong, Reply, Unwelcome, Welcome
from ddb.wire.network import Network
from ddb.wire.ports import Condition, Silent, Unreachable
from tests.cluster import free_ports
from tests.descriptors import at_most, none_left
from tests.loop import SOON, run, until
from tests.wire.linked import SLACK, ask, linked, up
from tests.wire.serving import CLOCK, HELLO, HOST, NAME, Node

FEW = 256
"""Enough descriptors for a test process and a link."""


def test_request_gets_its_reply() -> None:
    """A node that listens and votes is UP and replies."""

    async def scenario() -> None:
        async with Node() as node, linked(node.port) as link:
            network = Network({NAME: link})
            await up(link)
            assert network.condition(NAME) is Condition.UP
            reply = network.ask(
                NAME, CoordinateGet(b"k"), deadline=CLOCK.now() + SOON, timeout_s=SOON
            )
            assert await reply == GetResult(b"k")
            assert link.requests == 1
            network.close()
            assert link.condition is Condition.DOWN

    run(scenario())


def test_node_that_does_not_vote_yet_is_suspect() -> None:
    """A connected node that joins is SUSPECT, and UP once it votes."""

    async def scenario() -> None:
        async with Node(ready=False) as node, linked(node.port) as link:
            await until(lambda: link.condition is Condition.SUSPECT)
            assert await ask(link) == GetResult(b"k")
            node.ready = True
            await up(link)

    run(scenario())


def test_thousands_of_requests_in_flight() -> None:
    """Each of thousands of requests in flight gets its own reply."""

    async def scenario() -> None:
        async def slow(request: CoordinateGet) -> Reply:
            await asyncio.sleep(0.01)
            return GetResult(request.key)

        async with Node(slow=slow) as node, linked(node.port) as link:
            await up(link)
            keys = [b"%d" % number for number in range(3_000)]
            replies = await asyncio.gather(*(ask(link, key) for key in keys))
            assert replies == [GetResult(key) for key in keys]

    run(scenario())


def test_unreachable_means_never_sent() -> None:
    """Without a connection a request fails at once, and the node never gets it."""

    async def scenario() -> None:
        port = free_ports(1)
        async with linked(port) as link:
            began = time.monotonic()
            for _ in range(20):
                with pytest.raises(Unreachable):
                    await ask(link)
            assert time.monotonic() - began < SLACK
            async with Node(port=port) as node:
                await up(link)
                assert node.begun == []
                assert await ask(link) == GetResult(b"k")
                assert node.begun == [CoordinateGet(b"k")]

    run(scenario())


def test_lost_connection_is_silent() -> None:
    """A request on a lost connection is Silent, since the node may have acted on it."""

    async def scenario() -> None:
        began = asyncio.Event()

        async def slow(request: CoordinateGet) -> Reply:
            began.set()
            await asyncio.sleep(SOON)
            return GetResult(request.key)

        async with Node(slow=slow) as node, linked(node.port) as link:
            await up(link)
            request = asyncio.ensure_future(ask(link))
            await asyncio.wait_for(began.wait(), SOON)
            node.listener.stop()
            with pytest.raises(Silent):
                await asyncio.wait_for(request, SLACK)
            await until(lambda: link.condition is Condition.DOWN)

    run(scenario())


def test_unflushed_request_on_a_lost_connection_is_silent() -> None:
    """A request that the link has accepted is Silent once the connection is lost."""

    async def scenario() -> None:
        async with Node() as node, linked(node.port) as link:
            await up(link)
            request = link.ask(CoordinateGet(b"k"), CLOCK.now() + SOON, SOON)
            link.close()
            with pytest.raises(Silent):
                await request

    run(scenario())


def test_link_connects_again_after_each_restart() -> None:
    """A link connects again by itself after each restart of its node."""

    async def scenario() -> None:
        node = Node()
        async with node:
            port = node.port
        async with linked(port) as link:
            for number in range(3):
                async with node:
                    await up(link)
                    assert await ask(link, b"%d" % number) == GetResult(b"%d" % number)
                await until(lambda: link.condition is Condition.DOWN)

    run(scenario())


def test_damaged_reply_closes_the_connection() -> None:
    """A link closes a connection with damaged frames, and connects again."""

    async def scenario() -> None:
        async with Node() as node, linked(node.port) as link:
            await up(link)
            (serving,) = node.listener.open
            assert serving._transport is not None
            request = link.ask(CoordinateGet(b"k"), CLOCK.now() + SOON, SOON)
            serving._transport.write(b"\xff" * 64)
            with pytest.raises(Silent):
                await request
            assert link.condition is Condition.DOWN
            await up(link)
            assert await ask(link) == GetResult(b"k")

    run(scenario())


@pytest.mark.parametrize(
    ("greeting", "warning"),
    [
        (Welcome("db-9", 1), "is not db-0"),
        (Unwelcome("run the same version"), "db-0 refuses this process: run the same version"),
    ],
)
def test_wrong_peer_is_not_used(
    greeting: Welcome | Unwelcome, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A link logs once a node that refuses it or has another name, and counts it as DOWN."""

    async def scenario() -> None:
        async with Node(greeting=greeting) as node, linked(node.port) as link:
            await until(lambda: warning in caplog.text)
            await asyncio.sleep(0.2)
            assert link.condition is Condition.DOWN
            with pytest.raises(Unreachable):
                await ask(link)
            assert caplog.text.count(warning) == 1
            node.greeting = Welcome(NAME, 1)
            await up(link)
            assert await link.ask(Ping(), CLOCK.now() + SOON, SOON) == Pong(True)

    run(scenario())


def test_a_wrong_peer_is_not_remembered() -> None:
    """A link passes on no Welcome of a node with another name."""

    async def scenario() -> None:
        passed_on: list[Welcome | Unwelcome] = []

        def greeted(reply: Welcome | Unwelcome) -> str:
            passed_on.append(reply)
            return ""

        async with Node(greeting=Welcome("db-9", 1)) as node:
            link = Link(NAME, HOST, node.port, lambda: HELLO, CLOCK, greeted)
            await asyncio.sleep(0.2)
            assert passed_on == []
            node.greeting = Welcome(NAME, 1)
            await up(link)
            assert passed_on == [Welcome(NAME, 1)]
            link.close()

    run(scenario())


def test_link_without_a_descriptor_connects_later(caplog: pytest.LogCaptureFixture) -> None:
    """A link without a free descriptor logs that once, and connects once there is one."""

    async def scenario() -> None:
        async with Node() as node:
            with none_left():
                async with linked(node.port) as link:
                    await asyncio.sleep(1.0)
                    assert link.condition is Condition.DOWN
                    with at_most(FEW):
                        await up(link)
                    assert await ask(link) == GetResult(b"k")

    run(scenario())
    warnings = [each for each in caplog.messages if "no file descriptor is left" in each]
    assert len(warnings) == 1
