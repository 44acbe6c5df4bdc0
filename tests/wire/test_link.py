"""The calling end, over real sockets: honest about what was sent, and back by itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import pytest

from ddb.node.partners import PATIENCE as PATIENCE_OF_COORDINATORS
from ddb.wire.frames import frame
from ddb.wire.link import GIVE_UP_AFTER, HARD_PATIENCE, PING_EVERY, Link, Network
from ddb.wire.messages import Failed, Found, Get, Ping, Pong, Reply, Unwelcome, Welcome
from ddb.wire.ports import Condition, Silent, Unreachable
from tests.cluster import free_ports
from tests.loop import SOON, run, until
from tests.wire.serving import CLOCK, HELLO, HOST, NAME, Node

SLACK = 1.0
"""Seconds that a busy machine may add to any wait."""
PATIENCE = 0.3


@asynccontextmanager
async def linked(port: int) -> AsyncIterator[Link]:
    """A link that is cut behind the context."""
    link = Link(NAME, HOST, port, HELLO, CLOCK)
    try:
        yield link
    finally:
        link.close()
        await asyncio.sleep(0.01)


async def up(link: Link) -> None:
    await until(lambda: link.condition is Condition.UP)


async def ask(link: Link, key: bytes = b"k", within: float = SOON, patience: float = SOON) -> Reply:
    return await link.ask(Get(key), CLOCK.now() + within, patience)


async def never(request: Get) -> Reply:
    """As `Node.slow`."""
    await asyncio.sleep(SOON)
    return Found(request.key)


async def refused(request: asyncio.Future[Reply]) -> bool:
    """Whether a request came too late: the node says so, unless its caller gives up before."""
    try:
        return isinstance(await request, Failed)
    except Silent:
        return True


class Deaf(asyncio.Protocol):
    """Answers the greeting and then nothing any more, or only pings."""

    def __init__(self, pongs: bool) -> None:
        self._pongs = pongs
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if not self._greeted:
            self._greeted = True
            self.transport.write(frame(1, CLOCK.now(), Welcome(NAME, 1, 1)))
        elif self._pongs:
            # Not an answer to anything that was asked, but a sign of life.
            self.transport.write(frame(0xFFFFFFFF, CLOCK.now(), Pong(True)))


@dataclass(slots=True)
class Adjusted:
    """A clock that was started at another time, and can be put forward."""

    ahead: float = 0.0

    def now(self) -> float:
        """Seconds, and what it is ahead."""
        return CLOCK.now() + self.ahead

    def wall_ms(self) -> int:
        """The machine's."""
        return CLOCK.wall_ms()


@asynccontextmanager
async def deaf(pongs: bool = False) -> AsyncIterator[int]:
    """The port of a peer that answers no request."""
    peers: list[Deaf] = []

    def peer() -> Deaf:
        peers.append(Deaf(pongs))
        return peers[-1]

    server = await asyncio.get_running_loop().create_server(peer, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in peers:
            each.transport.abort()
        await asyncio.sleep(0.01)


def test_asks_and_is_answered() -> None:
    """A node that listens and votes is up, and answers."""

    async def scenario() -> None:
        async with Node() as node, linked(node.port) as link:
            network = Network({NAME: link})
            await up(link)
            assert network.condition(NAME) is Condition.UP
            reply = network.ask(NAME, Get(b"k"), deadline=CLOCK.now() + SOON, patience=SOON)
            assert await reply == Found(b"k")
            assert link.requests == 1
            network.close()
            assert link.condition is Condition.DOWN

    run(scenario())


def test_node_that_does_not_vote_yet_is_suspect() -> None:
    """A connected node that is still joining is asked last, and up once it votes."""

    async def scenario() -> None:
        async with Node(ready=False) as node, linked(node.port) as link:
            await until(lambda: link.condition is Condition.SUSPECT)
            assert await ask(link) == Found(b"k")
            node.ready = True
            await up(link)

    run(scenario())


def test_thousands_in_flight() -> None:
    """Thousands of requests at once get each its own answer."""

    async def scenario() -> None:
        async def slow(request: Get) -> Reply:
            await asyncio.sleep(0.01)
            return Found(request.key)

        async with Node(slow=slow) as node, linked(node.port) as link:
            await up(link)
            keys = [b"%d" % number for number in range(3_000)]
            replies = await asyncio.gather(*(ask(link, key) for key in keys))
            assert replies == [Found(key) for key in keys]

    run(scenario())


def test_unreachable_means_never_sent() -> None:
    """Without a connection a request fails at once, and nobody ever sees it."""

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
                assert await ask(link) == Found(b"k")
                assert node.begun == [Get(b"k")]

    run(scenario())


def test_lost_connection_is_silence_not_refusal() -> None:
    """What was sent before the connection broke may have been done, and is not called unsent."""

    async def scenario() -> None:
        began = asyncio.Event()

        async def slow(request: Get) -> Reply:
            began.set()
            await asyncio.sleep(SOON)
            return Found(request.key)

        async with Node(slow=slow) as node, linked(node.port) as link:
            await up(link)
            request = asyncio.ensure_future(ask(link))
            await asyncio.wait_for(began.wait(), SOON)
            node.listener.stop()
            with pytest.raises(Silent):
                await asyncio.wait_for(request, SLACK)
            await until(lambda: link.condition is Condition.DOWN)

    run(scenario())


def test_request_not_flushed_when_the_connection_breaks_is_not_called_unsent() -> None:
    """A request that was taken is silent rather than unreachable if its connection goes."""

    async def scenario() -> None:
        async with Node() as node, linked(node.port) as link:
            await up(link)
            request = link.ask(Get(b"k"), CLOCK.now() + SOON, SOON)
            link.close()
            with pytest.raises(Silent):
                await request

    run(scenario())


def test_silent_peer_is_given_up_within_patience() -> None:
    """A peer that stops reading or answering costs a request its patience and little more."""

    async def scenario() -> None:
        async with deaf() as port, linked(port) as link:
            await until(lambda: link.condition is not Condition.DOWN)
            began = time.monotonic()
            with pytest.raises(Silent):
                await ask(link, patience=PATIENCE)
            # Far below three times as long, which is for peers that answer others.
            assert PATIENCE * 0.9 <= time.monotonic() - began < PATIENCE * 2.6
            assert link.condition is not Condition.UP

    run(scenario())


def test_peer_that_answers_others_is_given_three_times_as_long() -> None:
    """A peer that shows signs of life is waited for longer, but not for ever."""

    async def scenario() -> None:
        async with deaf(pongs=True) as port, linked(port) as link:
            await until(lambda: link.condition is not Condition.DOWN)
            began = time.monotonic()
            others = [asyncio.ensure_future(ask(link, patience=SOON))]
            request = asyncio.ensure_future(ask(link, patience=0.1))
            while not request.done():
                others.append(asyncio.ensure_future(ask(link, patience=SOON)))
                await asyncio.sleep(0.01)
            with pytest.raises(Silent):
                await request
            assert 0.28 <= time.monotonic() - began < 0.3 + SLACK
            for other in others:
                other.cancel()

    run(scenario())


def test_peer_that_had_nothing_to_say_is_not_called_silent() -> None:
    """A peer of whom nothing else was asked is pinged before it is given up as silent."""

    async def scenario() -> None:
        async with Node(slow=never) as node, linked(node.port) as link:
            await up(link)
            patience = 0.6 * PING_EVERY
            began = time.monotonic()
            with pytest.raises(Silent):
                await ask(link, patience=patience)
            # Pings at their usual pace leave gaps that are longer than the patience.
            assert time.monotonic() - began > patience * HARD_PATIENCE * 0.95
            assert link.condition is Condition.UP

    run(scenario())


def test_own_absence_is_not_held_against_a_peer() -> None:
    """Where this process did not run for most of a request's patience, the peer is not blamed."""

    async def scenario() -> None:
        clock = Adjusted()
        async with Node(slow=never) as node:
            link = Link(NAME, HOST, node.port, HELLO, clock)
            await up(link)
            request = link.ask(Get(b"k"), clock.now() + SOON, PATIENCE_OF_COORDINATORS)
            # The answer may have been there all the while, unread.
            clock.ahead = PATIENCE_OF_COORDINATORS
            link._sweep()
            assert not request.done()
            assert link.condition is Condition.UP
            link.close()
            with pytest.raises(Silent):
                await request

    run(scenario())


def test_nobody_waits_past_a_deadline() -> None:
    """A request ends with its deadline, however patient it is."""

    async def scenario() -> None:
        async with deaf() as port, linked(port) as link:
            await until(lambda: link.condition is not Condition.DOWN)
            began = time.monotonic()
            with pytest.raises(Silent):
                await ask(link, within=0.05, patience=SOON)
            # Before the connection itself is given up.
            assert time.monotonic() - began < 0.7 * GIVE_UP_AFTER

    run(scenario())


def test_request_that_lay_unread_past_its_deadline_is_not_begun() -> None:
    """A node that was paused does not begin what its caller no longer waits for."""

    async def scenario() -> None:
        async with Node() as node, linked(node.port) as link:
            await up(link)
            request = link.ask(Get(b"late"), CLOCK.now() + 0.05, SOON)
            # Out of the link and into the socket, and no further.
            link._flush()
            time.sleep(0.15)  # noqa: ASYNC251
            assert await refused(request)
            assert await ask(link) == Found(b"k")
            assert node.begun == [Get(b"k")]

    run(scenario())


def test_deadline_crosses_to_another_clock() -> None:
    """A callee whose clock reads otherwise neither begins late nor refuses in time."""

    async def scenario() -> None:
        async with Node() as node:
            node.listener.clock = Adjusted(ahead=3600)
            async with linked(node.port) as link:
                await up(link)
                assert await ask(link, within=2.0) == Found(b"k")
                assert await refused(link.ask(Get(b"late"), CLOCK.now() - 0.001, SOON))
                await asyncio.sleep(0.05)
                assert node.begun == [Get(b"k")]

    run(scenario())


def test_link_comes_back_with_its_node() -> None:
    """After its node was restarted a link connects again by itself, again and again."""

    async def scenario() -> None:
        node = Node()
        async with node:
            port = node.port
        async with linked(port) as link:
            for number in range(3):
                async with node:
                    await up(link)
                    assert await ask(link, b"%d" % number) == Found(b"%d" % number)
                await until(lambda: link.condition is Condition.DOWN)

    run(scenario())


def test_garbled_replies_cost_the_connection_and_no_more() -> None:
    """A peer whose bytes make no sense is left, and tried again."""

    async def scenario() -> None:
        async with Node() as node, linked(node.port) as link:
            await up(link)
            (serving,) = node.listener.open
            assert serving._transport is not None
            request = link.ask(Get(b"k"), CLOCK.now() + SOON, SOON)
            serving._transport.write(b"\xff" * 64)
            with pytest.raises(Silent):
                await request
            assert link.condition is Condition.DOWN
            await up(link)
            assert await ask(link) == Found(b"k")

    run(scenario())


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        (Welcome("db-9", 1, 1), "answers, but is not db-0"),
        (Unwelcome("run the same version"), "db-0 refuses us: run the same version"),
    ],
)
def test_wrong_peer_is_not_used(
    greeting: Welcome | Unwelcome, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that refuses us, or is another than expected, counts as down, and is named once."""

    async def scenario() -> None:
        async with Node(greeting=greeting) as node, linked(node.port) as link:
            await until(lambda: said in caplog.text)
            await asyncio.sleep(0.2)
            assert link.condition is Condition.DOWN
            with pytest.raises(Unreachable):
                await ask(link)
            assert caplog.text.count(said) == 1
            node.greeting = Welcome(NAME, 1, 1)
            await up(link)
            assert await link.ask(Ping(), CLOCK.now() + SOON, SOON) == Pong(True)

    run(scenario())
