"""Reports of a node's disk to its callers."""

import asyncio

import pytest

from ddb.wire.link import PING_INTERVAL_S, believed
from ddb.wire.messages import CoordinateGet, DiskNotice, DiskState, GetResult, Ping, Pong, Reply
from ddb.wire.ports import Condition, Silent
from tests.loop import run, until
from tests.wire.linked import ask, linked, never, up
from tests.wire.serving import CLOCK, Node, Raw

CONDITIONS = {
    DiskState.SLOW: Condition.SLOW,
    DiskState.STALLED: Condition.SUSPECT,
    DiskState.HEALTHY: Condition.UP,
}


@pytest.mark.parametrize("disk", DiskState)
def test_connection_and_disk_make_the_condition(disk: DiskState) -> None:
    """A node's condition is the worse one of its connection and its disk."""
    assert believed(Condition.UP, True, disk) is CONDITIONS[disk]
    assert believed(Condition.UP, False, disk) is Condition.SUSPECT
    for connection in (Condition.SUSPECT, Condition.DOWN):
        assert believed(connection, True, disk) is connection


def test_notice_reaches_callers_before_the_next_ping() -> None:
    """A node sends each new state of its disk to every caller at once."""

    async def scenario() -> None:
        async with Node() as node, linked(node.port) as link, linked(node.port) as other:
            for each in (link, other):
                await up(each)
            for disk, condition in CONDITIONS.items():
                node.disk = disk
                node.listener.announce(DiskNotice(disk, False))
                began = CLOCK.now()
                await until(lambda: link.condition is other.condition is condition)  # noqa: B023
                assert CLOCK.now() - began < PING_INTERVAL_S / 2

    run(scenario())


def test_new_caller_gets_the_disk_state_by_its_first_ping() -> None:
    """The first Pong has the disk's state for a caller that connects later."""

    async def scenario() -> None:
        async with Node(disk=DiskState.SLOW) as node, linked(node.port) as link:
            await until(lambda: link.condition is Condition.SLOW)
            node.disk = DiskState.HEALTHY
            await up(link)

    run(scenario())


def test_requests_in_flight_survive_a_notice() -> None:
    """A notice without `give_up` ends no request in flight."""

    async def scenario() -> None:
        go_on = asyncio.Event()

        async def waits(request: CoordinateGet) -> Reply:
            await go_on.wait()
            return GetResult(request.key)

        async with Node(slow=waits) as node, linked(node.port) as link:
            await up(link)
            asked = asyncio.ensure_future(ask(link))
            await until(lambda: bool(node.begun))
            node.disk = DiskState.SLOW
            node.listener.announce(DiskNotice(DiskState.SLOW, False))
            await until(lambda: link.condition is Condition.SLOW)
            assert not asked.done()
            go_on.set()
            assert await asked == GetResult(b"k")

    run(scenario())


def test_notice_ends_requests_in_flight_and_nothing_else() -> None:
    """A notice with `give_up` ends requests in flight as Silent and keeps the connection."""

    async def scenario() -> None:
        async with Node(slow=never) as node, linked(node.port) as link:
            await up(link)
            transport = link.in_flight.transport
            asked = [asyncio.ensure_future(ask(link)) for _ in range(3)]
            await until(lambda: len(node.begun) == 3)
            node.slow, node.disk = None, DiskState.SLOW
            began = CLOCK.now()
            node.listener.announce(DiskNotice(DiskState.SLOW, True))
            for each in asked:
                with pytest.raises(Silent, match="disk of db-0 is slow"):
                    await each
            assert CLOCK.now() - began < PING_INTERVAL_S / 2
            assert await ask(link, b"next") == GetResult(b"next")
            assert link.in_flight.transport is transport
            assert link.condition is Condition.SLOW

    run(scenario())


def test_stranger_gets_no_notice() -> None:
    """A connection that has not introduced itself is sent nothing that it did not ask for."""

    async def scenario() -> None:
        async with Node() as node:
            stranger, friend = await Raw.to(node, greet=False), await Raw.to(node)
            node.listener.announce(DiskNotice(DiskState.SLOW, False))
            assert await friend.receive() == (0, DiskNotice(DiskState.SLOW, False))
            assert await friend.ask(1, Ping()) == Pong(True)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stranger.receive(), 0.1)

    run(scenario())
