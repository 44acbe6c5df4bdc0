"""A home and the standby while the other home is down: one message to the standby if possible."""

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ddb.node.replica.acceptor import Acceptor
from ddb.record.change import Kind, Outcome
from ddb.record.codec import decode, encode
from ddb.record.state import State
from ddb.record.version import NEVER, Dot
from ddb.wire.messages import (
    Accept,
    ChangeResult,
    CoordinateChange,
    CoordinateGet,
    GetResult,
    Propose,
    ReadReplica,
    Reply,
)
from ddb.wire.ports import Condition
from tests.fakes.cell import CELL, CLOCK, KEY, NAME, OTHER_HOME, CellNode, cell_node
from tests.fakes.transport import FakeTransport, from_replicas

COORDINATOR = 9
"""The id of the node that coordinated the stored states."""
FAR = CLOCK.now() + 600


def state(counter: int, body: bytes | None) -> bytes:
    """Return an encoded state that another node coordinated."""
    return encode(State((Dot(counter << 40, COORDINATOR),), body is not None, body or b""))


ONE, TWO, THREE = b'{"n":1}', b'{"n":2}', b'{"n":3}'
OLD, MINE, NEWER = state(1, ONE), state(2, TWO), state(3, THREE)


@dataclass(frozen=True, slots=True)
class Home:
    """A home, the replica of its standby, and the transport between them."""

    node: CellNode
    standby: Acceptor
    transport: FakeTransport

    async def get(self) -> Reply:
        """Return the reply to a GET."""
        handling = self.node.fast_read.get(CoordinateGet(KEY), FAR)
        assert inspect.isawaitable(handling)
        return await handling


@contextmanager
def home_with_standby(path: Path) -> Iterator[Home]:
    """Run a home whose other home is down."""
    replicas: dict[str, Acceptor] = {}
    transport = FakeTransport(from_replicas(replicas), {OTHER_HOME: Condition.DOWN})
    with (
        cell_node(path / NAME, NAME, transport) as home,
        cell_node(path / "standby", CELL.standby, transport, node_id=2) as standby,
    ):
        replicas[CELL.standby] = standby.replica
        yield Home(home, standby.replica, transport)


@pytest.mark.parametrize(
    ("own", "theirs", "decided", "body", "asked"),
    [
        pytest.param(b"", b"", False, None, [ReadReplica], id="no record"),
        pytest.param(MINE, MINE, False, TWO, [ReadReplica], id="on both"),
        pytest.param(
            MINE, b"", True, TWO, [ReadReplica], id="decided before the other home stopped"
        ),
        pytest.param(MINE, OLD, True, TWO, [ReadReplica], id="decided, and a hint that is older"),
        pytest.param(
            state(2, None), b"", True, None, [ReadReplica], id="a deletion that is decided"
        ),
        pytest.param(
            MINE, b"", False, TWO, [ReadReplica, ReadReplica, Accept], id="it may be undecided"
        ),
        pytest.param(MINE, NEWER, True, THREE, [ReadReplica, ReadReplica], id="overtaken"),
    ],
)
def test_home_answers_a_read_if_the_standby_has_nothing_newer(
    tmp_path: Path, own: bytes, theirs: bytes, decided: bool, body: bytes | None, asked: list[type]
) -> None:
    """In every other case the coordinator reads and repairs the older copy."""

    async def scenario(home: Home) -> Reply:
        for copy, replica in ((own, home.node.replica), (theirs, home.standby)):
            if copy:
                replica.offer(KEY, copy)
                await replica.writes.wait_all()
        if decided:
            home.node.commit_index.advance(COORDINATOR, 0, 5 << 40)
        return await home.get()

    with home_with_standby(tmp_path) as home:
        assert asyncio.run(scenario(home)) == GetResult(body)
        assert home.transport.requests == asked


def test_read_with_a_newer_own_copy_starts_again(tmp_path: Path) -> None:
    """A commit notice for the old own copy does not cover a newer one that arrives meanwhile."""

    async def scenario(home: Home) -> Reply:
        await home.node.store_state(KEY, MINE)
        home.node.commit_index.advance(COORDINATOR, 0, 2 << 40)
        reading = asyncio.ensure_future(home.get())
        await asyncio.sleep(0)
        assert home.transport.requests == [ReadReplica]
        home.node.replica.offer(KEY, NEWER)
        return await reading

    with home_with_standby(tmp_path) as home:
        assert asyncio.run(scenario(home)) == GetResult(THREE)
        assert home.transport.requests == [ReadReplica, ReadReplica, Accept]
        assert decode(home.standby.copies.raw(KEY)) == decode(NEWER)


def test_fast_read_ignores_a_commit_notice_during_the_read(tmp_path: Path) -> None:
    """By then the standby may have decided a newer state with the other home."""

    async def scenario(home: Home) -> Reply:
        await home.node.store_state(KEY, MINE)
        reading = asyncio.ensure_future(home.get())
        await asyncio.sleep(0)
        assert home.transport.requests == [ReadReplica]
        home.node.commit_index.advance(COORDINATOR, 0, 5 << 40)
        return await reading

    with home_with_standby(tmp_path) as home:
        assert asyncio.run(scenario(home)) == GetResult(TWO)
        assert home.transport.requests[:2] == [ReadReplica, ReadReplica]


@pytest.mark.parametrize(
    ("theirs", "merged", "asked"),
    [
        pytest.param(b"", b'{"n":2,"a":1}', [Propose], id="nothing"),
        pytest.param(MINE, b'{"n":2,"a":1}', [Propose], id="the same"),
        pytest.param(OLD, b'{"n":2,"a":1}', [Propose, Accept], id="an older hint"),
        pytest.param(NEWER, b'{"n":3,"a":1}', [Propose, Propose, Accept], id="a newer hint"),
    ],
)
def test_change_takes_one_message_if_the_standby_has_no_other_state(
    tmp_path: Path, theirs: bytes, merged: bytes, asked: list[type]
) -> None:
    """A standby without a copy accepts the home's proposal in one message."""

    async def scenario(home: Home) -> Reply:
        await home.node.ballots.issue(above=NEVER)
        home.node.replica.offer(KEY, MINE)
        if theirs:
            home.standby.offer(KEY, theirs)
        request = CoordinateChange(
            KEY, Kind.UPDATE, b'{"a":1}', (), b"%012d" % 1, b"", False, b"gw", 0
        )
        handling = home.node.fast_write.change(request, FAR)
        assert inspect.isawaitable(handling)
        return await handling

    with home_with_standby(tmp_path) as home:
        answer = asyncio.run(scenario(home))
        assert answer == ChangeResult(Outcome.DONE, merged)
        assert home.transport.requests == asked
        assert home.node.replica.copies.raw(KEY) == home.standby.copies.raw(KEY)
