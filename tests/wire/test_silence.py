"""Timeouts and deadlines of requests, over real sockets."""

import asyncio
import time

import pytest

from ddb.wire.in_flight import HARD_TIMEOUT_FACTOR
from ddb.wire.link import PING_INTERVAL_S, RECONNECT_AFTER_S, Link
from ddb.wire.messages import CoordinateGet, GetResult
from ddb.wire.ports import Condition, Silent
from ddb.wire.timeouts import DEFAULT
from tests.fakes.clock import AheadClock
from tests.loop import SOON, run, until
from tests.wire.linked import SLACK, ask, deaf, linked, never, refused, up
from tests.wire.serving import CLOCK, HELLO, HOST, NAME, Node

TIMEOUT_S = 0.3


def test_silent_peer_ends_a_request_at_its_timeout() -> None:
    """A request to a silent peer ends as Silent at its timeout."""

    async def scenario() -> None:
        async with deaf() as port, linked(port) as link:
            await until(lambda: link.condition is not Condition.DOWN)
            began = time.monotonic()
            with pytest.raises(Silent):
                await ask(link, timeout_s=TIMEOUT_S)
            # Far below three times as long, the limit for peers that reply to other requests.
            assert TIMEOUT_S * 0.9 <= time.monotonic() - began < TIMEOUT_S * 2.6
            assert link.condition is not Condition.UP

    run(scenario())


def test_peer_that_replies_to_others_gets_three_times_as_long() -> None:
    """A request to a peer that replies to others ends after three times its timeout."""

    async def scenario() -> None:
        async with deaf(pongs=True) as port, linked(port) as link:
            await until(lambda: link.condition is not Condition.DOWN)
            began = time.monotonic()
            others = [asyncio.ensure_future(ask(link, timeout_s=SOON))]
            request = asyncio.ensure_future(ask(link, timeout_s=0.1))
            while not request.done():
                others.append(asyncio.ensure_future(ask(link, timeout_s=SOON)))
                await asyncio.sleep(0.01)
            with pytest.raises(Silent):
                await request
            assert 0.28 <= time.monotonic() - began < 0.3 + SLACK
            for other in others:
                other.cancel()

    run(scenario())


def test_idle_peer_is_pinged_before_it_counts_as_silent() -> None:
    """A link pings an idle peer within the timeout of a request, so the peer stays UP."""

    async def scenario() -> None:
        async with Node(slow=never) as node, linked(node.port) as link:
            await up(link)
            timeout_s = 0.6 * PING_INTERVAL_S
            began = time.monotonic()
            with pytest.raises(Silent):
                await ask(link, timeout_s=timeout_s)
            # The usual interval between pings is longer than this timeout.
            assert time.monotonic() - began > timeout_s * HARD_TIMEOUT_FACTOR * 0.95
            assert link.condition is Condition.UP

    run(scenario())


def test_pause_of_this_process_is_no_silence_of_a_peer() -> None:
    """A pause of this process ends no request and makes no peer SUSPECT."""

    async def scenario() -> None:
        clock = AheadClock()
        async with Node(slow=never) as node:
            link = Link(NAME, HOST, node.port, lambda: HELLO, clock)
            await up(link)
            request = link.ask(CoordinateGet(b"k"), clock.now() + SOON, DEFAULT.peer_s)
            # The reply may have arrived in the pause.
            clock.ahead = DEFAULT.peer_s
            link.in_flight.sweep()
            assert not request.done()
            assert link.condition is Condition.UP
            link.close()
            with pytest.raises(Silent):
                await request

    run(scenario())


def test_request_ends_at_its_deadline() -> None:
    """A request ends at its deadline, even if its timeout is longer."""

    async def scenario() -> None:
        async with deaf() as port, linked(port) as link:
            await until(lambda: link.condition is not Condition.DOWN)
            began = time.monotonic()
            with pytest.raises(Silent):
                await ask(link, within=0.05, timeout_s=SOON)
            # The link has not yet replaced its connection.
            assert time.monotonic() - began < 0.7 * RECONNECT_AFTER_S

    run(scenario())


def test_node_does_not_begin_an_expired_request() -> None:
    """After a pause, a node refuses requests whose deadline has passed."""

    async def scenario() -> None:
        async with Node() as node, linked(node.port) as link:
            await up(link)
            request = link.ask(CoordinateGet(b"late"), CLOCK.now() + 0.05, SOON)
            # The request is in the socket now.
            link.in_flight.flush()
            time.sleep(0.15)  # noqa: ASYNC251
            assert await refused(request)
            assert await ask(link) == GetResult(b"k")
            assert node.begun == [CoordinateGet(b"k")]

    run(scenario())


def test_deadline_crosses_to_another_clock() -> None:
    """A callee with another clock applies the caller's deadline."""

    async def scenario() -> None:
        async with Node() as node:
            node.listener.clock = AheadClock(ahead=3600)
            async with linked(node.port) as link:
                await up(link)
                assert await ask(link, within=2.0) == GetResult(b"k")
                assert await refused(link.ask(CoordinateGet(b"late"), CLOCK.now() - 0.001, SOON))
                await asyncio.sleep(0.05)
                assert node.begun == [CoordinateGet(b"k")]

    run(scenario())
