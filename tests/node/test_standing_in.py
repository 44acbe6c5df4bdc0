"""A home and the standby while the other home is out: one message to the standby, if it will do."""

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
NAME, AWAY = CELL.homes
ELSE = 9
"""The id of the node that coordinated what there is."""
CLOCK = SystemClock()
FAR = CLOCK.now() + 600


def state(counter: int, body: bytes | None) -> bytes:
    """An encoded state that another node coordinated."""
    return encode(State((Dot(counter << 40, ELSE),), body is not None, body or b""))


ONE, TWO, THREE = b'{"n":1}', b'{"n":2}', b'{"n":3}'
OLD, MINE, NEWER = state(1, ONE), state(2, TWO), state(3, THREE)


class Standby:
    """A transport to a standby with a replica of its own; the other home is out."""

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
        return Condition.DOWN if to == AWAY else Condition.UP

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
        """What a GET is answered."""
        handling = self.lookup.get(CoordinateGet(KEY), FAR)
        assert inspect.isawaitable(handling)
        return await handling


@contextmanager
def standing_in(path: Path) -> Iterator[Home]:
    """A home whose other home is out."""
    stores = [RocksStore(path / name, Fsync.OS) for name in (NAME, CELL.standby)]
    ballots = [Ballots(number, store, CLOCK) for number, store in enumerate(stores, 1)]
    replica = Acceptor(NAME, RING, stores[0], ballots[0])
    standby = Standby(Acceptor(CELL.standby, RING, stores[1], ballots[1]))
    decided, rounds = CommitIndex(1, stores[0]), OpenRounds(ballots[0])
    coordinator = Coordinator(
        NAME, RING, replica, ballots[0], rounds, decided, standby, CLOCK, random.Random(1)
    )
    yield Home(
        FastWrite(NAME, RING, replica, ballots[0], rounds, standby, coordinator),
        FastRead(NAME, RING, replica, decided, standby, coordinator),
        replica,
        ballots[0],
        decided,
        standby,
    )
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    ("own", "its", "known", "told", "asked"),
    [
        pytest.param(b"", b"", False, None, [ReadReplica], id="no record"),
        pytest.param(MINE, MINE, False, TWO, [ReadReplica], id="on both"),
        pytest.param(
            MINE, b"", True, TWO, [ReadReplica], id="decided before the other home went out"
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
def test_read_is_answered_from_here_where_the_standby_has_nothing_newer(
    tmp_path: Path, own: bytes, its: bytes, known: bool, told: bytes | None, asked: list[type]
) -> None:
    """Everything else is found out by the coordinator, which mends what is behind."""

    async def scenario(home: Home) -> Reply:
        for held, on in ((own, home.replica), (its, home.standby.replica)):
            if held:
                on.offer(KEY, held)
                await on.writes.all_durable()
        if known:
            home.decided.told(ELSE, 0, 5 << 40)
        return await home.get()

    with standing_in(tmp_path) as home:
        assert asyncio.run(scenario(home)) == GetResult(told)
        assert home.standby.asked == asked


def test_read_that_is_overtaken_at_home_is_begun_again(tmp_path: Path) -> None:
    """What was known of the older state says nothing of the one that is here by then."""

    async def scenario(home: Home) -> Reply:
        home.replica.offer(KEY, MINE)
        await home.replica.writes.all_durable()
        home.decided.told(ELSE, 0, 2 << 40)
        reading = asyncio.ensure_future(home.get())
        await asyncio.sleep(0)
        assert home.standby.asked == [ReadReplica]
        home.replica.offer(KEY, NEWER)
        return await reading

    with standing_in(tmp_path) as home:
        assert asyncio.run(scenario(home)) == GetResult(THREE)
        assert home.standby.asked == [ReadReplica, ReadReplica, Accept]
        assert decode(home.standby.replica.raw(KEY)) == decode(NEWER)


def test_read_takes_nothing_for_decided_that_it_hears_of_after_asking(tmp_path: Path) -> None:
    """By then the standby may have decided something newer with the home that is out."""

    async def scenario(home: Home) -> Reply:
        home.replica.offer(KEY, MINE)
        await home.replica.writes.all_durable()
        reading = asyncio.ensure_future(home.get())
        await asyncio.sleep(0)
        assert home.standby.asked == [ReadReplica]
        home.decided.told(ELSE, 0, 5 << 40)
        return await reading

    with standing_in(tmp_path) as home:
        assert asyncio.run(scenario(home)) == GetResult(TWO)
        assert home.standby.asked[:2] == [ReadReplica, ReadReplica]


@pytest.mark.parametrize(
    ("its", "merged", "asked"),
    [
        pytest.param(b"", b'{"n":2,"a":1}', [Propose], id="nothing"),
        pytest.param(MINE, b'{"n":2,"a":1}', [Propose], id="the same"),
        pytest.param(OLD, b'{"n":2,"a":1}', [Propose, Accept], id="an older hint"),
        pytest.param(NEWER, b'{"n":3,"a":1}', [Propose, Propose, Accept], id="a newer hint"),
    ],
)
def test_change_takes_one_message_where_the_standby_has_no_other_state(
    tmp_path: Path, its: bytes, merged: bytes, asked: list[type]
) -> None:
    """A standby that never heard of a record has no say in what follows from its state."""

    async def scenario(home: Home) -> Reply:
        await home.ballots.issue(above=NEVER)
        home.replica.offer(KEY, MINE)
        if its:
            home.standby.replica.offer(KEY, its)
        request = CoordinateChange(
            KEY, Kind.UPDATE, b'{"a":1}', (), b"%012d" % 1, b"", False, b"gw", 0
        )
        handling = home.fast.do(request, FAR)
        assert inspect.isawaitable(handling)
        return await handling

    with standing_in(tmp_path) as home:
        answer = asyncio.run(scenario(home))
        assert answer == ChangeResult(Outcome.DONE, merged)
        assert home.standby.asked == asked
        assert home.replica.raw(KEY) == home.standby.replica.raw(KEY)
