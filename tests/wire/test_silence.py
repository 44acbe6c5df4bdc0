"""How long a link waits for whom, and what comes too late, over real sockets."""

import asyncio
import time

import pytest

from ddb.wire.link import HARD_TIMEOUT_FACTOR, PING_INTERVAL_S, RECONNECT_AFTER_S, Link
from ddb.wire.messages import CoordinateGet, GetResult
from ddb.wire.ports import Condition, Silent
from ddb.wire.timeouts import DEFAULT
from tests.loop import SOON, run, until
from tests.wire.linked import SLACK, Adjusted, ask, deaf, linked, never, refused, up
from tests.wire.serving import CLOCK, HELLO, HOST, NAME, Node

PATIENCE = 0.3


def test_silent_peer_is_given_up_within_patience() -> None:
    """A peer that stops reading or answering costs a request its patience and little more."""

    async def scenario() -> None:
        async with deaf() as port, linked(port) as link:
            await until(lambda: link.condition is not Condition.DOWN)
            began = time.monotonic()
            with pytest.raises(Silent):
                await ask(link, timeout_s=PATIENCE)
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


def test_peer_that_had_nothing_to_say_is_not_called_silent() -> None:
    """A peer of whom nothing else was asked is pinged before it is given up as silent."""

    async def scenario() -> None:
        async with Node(slow=never) as node, linked(node.port) as link:
            await up(link)
            timeout_s = 0.6 * PING_INTERVAL_S
            began = time.monotonic()
            with pytest.raises(Silent):
                await ask(link, timeout_s=timeout_s)
            # Pings at their usual pace leave gaps that are longer than the patience.
            assert time.monotonic() - began > timeout_s * HARD_TIMEOUT_FACTOR * 0.95
            assert link.condition is Condition.UP

    run(scenario())


def test_own_absence_is_not_held_against_a_peer() -> None:
    """Where this process did not run for most of a request's patience, the peer is not blamed."""

    async def scenario() -> None:
        clock = Adjusted()
        async with Node(slow=never) as node:
            link = Link(NAME, HOST, node.port, HELLO, clock)
            await up(link)
            request = link.ask(CoordinateGet(b"k"), clock.now() + SOON, DEFAULT.partner_s)
            # The answer may have been there all the while, unread.
            clock.ahead = DEFAULT.partner_s
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
                await ask(link, within=0.05, timeout_s=SOON)
            # Before the connection itself is given up.
            assert time.monotonic() - began < 0.7 * RECONNECT_AFTER_S

    run(scenario())


def test_request_that_lay_unread_past_its_deadline_is_not_begun() -> None:
    """A node that was paused does not begin what its caller no longer waits for."""

    async def scenario() -> None:
        async with Node() as node, linked(node.port) as link:
            await up(link)
            request = link.ask(CoordinateGet(b"late"), CLOCK.now() + 0.05, SOON)
            # Out of the link and into the socket, and no further.
            link._flush()
            time.sleep(0.15)  # noqa: ASYNC251
            assert await refused(request)
            assert await ask(link) == GetResult(b"k")
            assert node.begun == [CoordinateGet(b"k")]

    run(scenario())


def test_deadline_crosses_to_another_clock() -> None:
    """A callee whose clock reads otherwise neither begins late nor refuses in time."""

    async def scenario() -> None:
        async with Node() as node:
            node.listener.clock = Adjusted(ahead=3600)
            async with linked(node.port) as link:
                await up(link)
                assert await ask(link, within=2.0) == GetResult(b"k")
                assert await refused(link.ask(CoordinateGet(b"late"), CLOCK.now() - 0.001, SOON))
                await asyncio.sleep(0.05)
                assert node.begun == [CoordinateGet(b"k")]

    run(scenario())
