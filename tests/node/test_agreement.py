"""A quorum read and a change while other nodes act, message by message."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from ddb.record.change import Kind
from ddb.record.codec import encode
from ddb.record.state import State
from ddb.record.version import NEVER, Dot
from ddb.wire.messages import (
    Accept,
    CoordinateChange,
    ReadReplica,
    Rejected,
    ReplicaState,
    Reply,
    Undecided,
)
from ddb.wire.ports import Condition
from tests.fakes.cell import CELL, CLOCK, KEY, NAME, OTHER_HOME, cell_node
from tests.fakes.transport import Asked, FakeTransport, fails_after

OLD, MINE = (encode(State((Dot(counter << 40, 9),), True, b"{}")) for counter in (1, 2))
LATER = Dot(3 << 40, 9)


@pytest.mark.parametrize("before", [True, False])
def test_commit_notice_during_a_read_does_not_count(tmp_path: Path, before: bool) -> None:
    """A quorum read uses only commit notices that arrived before its request."""
    repairs = 0

    def overtaken_standby(asked: Asked) -> Reply:
        """Answer a read from an old copy, then promise a newer ballot."""
        nonlocal repairs
        assert asked.to == CELL.standby
        match asked.request:
            case ReadReplica():
                if not before:
                    home.commit_index.advance(9, 0, 2 << 40)
                return ReplicaState(OLD)
            case Accept():
                repairs += 1
                return Rejected(LATER, LATER)
            case _:
                raise AssertionError(asked.request)

    async def scenario() -> State | None:
        await home.store_state(KEY, MINE)
        if before:
            home.commit_index.advance(9, 0, 2 << 40)
        now = CLOCK.now()
        return await home.coordinator._quorum_read.find(KEY, now + 5, now)

    transport = FakeTransport(overtaken_standby, {OTHER_HOME: Condition.DOWN})
    with cell_node(tmp_path, NAME, transport) as home:
        found = asyncio.run(scenario())
    assert (found is None, repairs) == ((False, 0) if before else (True, 1))


def silent_nodes() -> FakeTransport:
    """Return a transport to nodes that are connected and silent for 20 ms per request."""
    return FakeTransport(partial(fails_after, 0.02))


def test_peer_that_was_silent_on_the_fast_path_is_not_asked_again(tmp_path: Path) -> None:
    """After the home, the standby is silent too, and the node leaves its time to another node."""
    silent = silent_nodes()

    async def scenario() -> Reply:
        await home.ballots.issue(above=NEVER)
        request = CoordinateChange(KEY, Kind.CREATE, b"{}", (), b"%012d" % 1, b"", False, b"gw", 0)
        handling = home.fast_write.change(request, CLOCK.now() + 60)
        assert isinstance(handling, asyncio.Future)
        return await handling

    with cell_node(tmp_path, NAME, silent) as home:
        reply = asyncio.run(scenario())
    assert reply == Undecided(True, "neither peer replied")
    assert len(silent.asked) == 2


def test_queued_changes_do_not_ask_peers_that_were_silent_meanwhile(tmp_path: Path) -> None:
    """At an isolated node the first of several queued changes finds out for all of them."""
    silent = silent_nodes()

    def change(number: int) -> asyncio.Future[Reply]:
        name = b"%012d" % number
        create = CoordinateChange(KEY, Kind.CREATE, b"{}", (), name, b"", False, b"gw", 0)
        handling = home.fast_write.change(create, CLOCK.now() + 60)
        assert isinstance(handling, asyncio.Future)
        return handling

    async def scenario() -> list[Reply]:
        await home.ballots.issue(above=NEVER)
        return await asyncio.gather(*map(change, range(5)))

    with cell_node(tmp_path, NAME, silent) as home:
        replies = asyncio.run(scenario())
    doubts = [True, False, False, False, False]
    assert replies == [Undecided(doubt, "neither peer replied") for doubt in doubts]
    assert len(silent.asked) == 2
