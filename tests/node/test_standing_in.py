"""A home and the standby while the other home is down: one message to the standby if possible."""

import asyncio
import inspect
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.context import NodeContext
from ddb.node.fastpath.fast_read import FastRead
from ddb.node.fastpath.fast_write import FastWrite
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.rocksdb import RocksStore
from ddb.record.change import Kind, Outcome
from ddb.record.codec import decode, encode
from ddb.record.state import State
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import Ring, key_of
from ddb.runtime.system_clock import SystemClock
from ddb.settings import Fsync
from ddb.wire.messages import (
    Accept,
    ChangeResult,
    CoordinateChange,
    CoordinateGet,
    GetResult,
    Propose,
    ReadReplica,
    Reply,
    Request,
)
from ddb.wire.ports import Condition

RING = Ring(("db-0", "db-1", "db-2"))
KEY = key_of("ada")
CELL = RING.cell(KEY)
NAME, OTHER_HOME = CELL.homes
COORDINATOR = 9
"""The id of the node that coordinated the stored states."""
CLOCK = SystemClock()
FAR = CLOCK.now() + 600


def state(counter: int, body: bytes | None) -> bytes:
    """Return an encoded state that another node coordinated."""
    return encode(State((Dot(counter << 40, COORDINATOR),), body is not None, body or b""))


ONE, TWO, THREE = b'{"n":1}', b'{"n":2}', b'{"n":3}'
OLD, MINE, NEWER = state(1, ONE), state(2, TWO), state(3, THREE)


class Standby:
    """A `Transport` to a standby with a real replica; the other home is down."""

    def __init__(self, replica: Acceptor) -> None:
        self.asked: list[type] = []
        self.replica = replica

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        assert to == CELL.standby
        self.asked.append(type(request))
        return asyncio.ensure_future(self._answer(request))

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        return Condition.DOWN if to == OTHER_HOME else Condition.UP

    async def _answer(self, request: Request) -> Reply:
        match request:
            case ReadReplica():
                handling = self.replica.read(request, lambda _: False)
            case Propose():
                handling = self.replica.propose(request)
            case Accept():
                handling = self.replica.accept(request)
            case _:
                raise AssertionError(request)
        return await handling if inspect.isawaitable(handling) else handling


@dataclass(frozen=True, slots=True)
class Home:
    """A home, and the standby that it asks."""

    fast: FastWrite
    lookup: FastRead
    replica: Acceptor
    ballots: Ballots
    decided: CommitIndex
    standby: Standby

    async def get(self) -> Reply:
        """Return the reply to a GET."""
        handling = self.lookup.get(CoordinateGet(KEY), FAR)
        assert inspect.isawaitable(handling)
        return await handling


@contextmanager
def home_with_standby(path: Path) -> Iterator[Home]:
    """Run a home whose other home is down."""
    stores = [RocksStore(path / name, Fsync.OS) for name in (NAME, CELL.standby)]
    ballots = [Ballots(number, store, CLOCK) for number, store in enumerate(stores, 1)]
    replica = Acceptor(NAME, RING, stores[0], ballots[0])
    standby = Standby(Acceptor(CELL.standby, RING, stores[1], ballots[1]))
    decided, rounds = CommitIndex(1, stores[0]), OpenRounds(ballots[0])
    context = NodeContext(NAME, RING, stores[0], standby, CLOCK, random.Random(1))
    coordinator = Coordinator(context, replica, ballots[0], rounds, decided)
    yield Home(
        FastWrite(context, replica, ballots[0], rounds, coordinator),
        FastRead(context, replica, decided, coordinator),
        replica,
        ballots[0],
        decided,
        standby,
    )
    for store in stores:
        store.close()


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
        for copy, replica in ((own, home.replica), (theirs, home.standby.replica)):
            if copy:
                replica.offer(KEY, copy)
                await replica.writes.wait_all()
        if decided:
            home.decided.advance(COORDINATOR, 0, 5 << 40)
        return await home.get()

    with home_with_standby(tmp_path) as home:
        assert asyncio.run(scenario(home)) == GetResult(body)
        assert home.standby.asked == asked


def test_read_with_a_newer_own_copy_starts_again(tmp_path: Path) -> None:
    """A commit notice for the old own copy does not cover a newer one that arrives meanwhile."""

    async def scenario(home: Home) -> Reply:
        home.replica.offer(KEY, MINE)
        await home.replica.writes.wait_all()
        home.decided.advance(COORDINATOR, 0, 2 << 40)
        reading = asyncio.ensure_future(home.get())
        await asyncio.sleep(0)
        assert home.standby.asked == [ReadReplica]
        home.replica.offer(KEY, NEWER)
        return await reading

    with home_with_standby(tmp_path) as home:
        assert asyncio.run(scenario(home)) == GetResult(THREE)
        assert home.standby.asked == [ReadReplica, ReadReplica, Accept]
        assert decode(home.standby.replica.raw(KEY)) == decode(NEWER)


def test_fast_read_ignores_a_commit_notice_during_the_read(tmp_path: Path) -> None:
    """By then the standby may have decided a newer state with the other home."""

    async def scenario(home: Home) -> Reply:
        home.replica.offer(KEY, MINE)
        await home.replica.writes.wait_all()
        reading = asyncio.ensure_future(home.get())
        await asyncio.sleep(0)
        assert home.standby.asked == [ReadReplica]
        home.decided.advance(COORDINATOR, 0, 5 << 40)
        return await reading

    with home_with_standby(tmp_path) as home:
        assert asyncio.run(scenario(home)) == GetResult(TWO)
        assert home.standby.asked[:2] == [ReadReplica, ReadReplica]


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
        await home.ballots.issue(above=NEVER)
        home.replica.offer(KEY, MINE)
        if theirs:
            home.standby.replica.offer(KEY, theirs)
        request = CoordinateChange(
            KEY, Kind.UPDATE, b'{"a":1}', (), b"%012d" % 1, b"", False, b"gw", 0
        )
        handling = home.fast.change(request, FAR)
        assert inspect.isawaitable(handling)
        return await handling

    with home_with_standby(tmp_path) as home:
        answer = asyncio.run(scenario(home))
        assert answer == ChangeResult(Outcome.DONE, merged)
        assert home.standby.asked == asked
        assert home.replica.raw(KEY) == home.standby.replica.raw(KEY)
