"""Agreement in the midst of what others are doing, a message at a time."""

import asyncio
import random
from pathlib import Path

import pytest

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.consensus.quorum_peers import Expired, QuorumPeers
from ddb.node.consensus.quorum_read import QuorumRead
from ddb.node.fastpath.fast_write import FastWrite
from ddb.node.metrics import NodeMetrics
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.rocksdb import RocksStore
from ddb.record.change import Change, Kind
from ddb.record.codec import encode
from ddb.record.state import Operation, State
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import Ring, key_of
from ddb.runtime.system_clock import SystemClock
from ddb.settings import Fsync
from ddb.wire.messages import (
    Accept,
    CoordinateChange,
    ReadReplica,
    Rejected,
    ReplicaState,
    Reply,
    Request,
    Undecided,
)
from ddb.wire.ports import Condition, Silent

RING = Ring(("db-0", "db-1", "db-2"))
KEY = key_of("ada")
CELL = RING.cell(KEY)
NAME, PARTNER = CELL.homes
OLD, MINE = (encode(State((Dot(counter << 40, 9),), True, b"{}")) for counter in (1, 2))
LATER = Dot(3 << 40, 9)
CLOCK = SystemClock()


class Overtaking:
    """A standby that answers a read, of what it had a moment before it heard of something newer."""

    def __init__(self, decided: CommitIndex, *, before: bool) -> None:
        self._decided = decided
        self._before = before
        self.pushed = 0

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        asked: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        assert to == CELL.standby
        match request:
            case ReadReplica():
                if not self._before:
                    self._decided.told(9, 0, 2 << 40)
                asked.set_result(ReplicaState(OLD))
            case Accept():
                self.pushed += 1
                asked.set_result(Rejected(LATER, LATER))
            case _:
                raise AssertionError(request)
        return asked

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        return Condition.DOWN if to == PARTNER else Condition.UP


@pytest.mark.parametrize("before", [True, False])
def test_word_that_comes_after_the_question_proves_nothing(tmp_path: Path, before: bool) -> None:
    """What is known to be decided when another node is asked is so for its answer, no later."""
    store = RocksStore(tmp_path, Fsync.OS)
    decided = CommitIndex(1, store)
    transport = Overtaking(decided, before=before)
    counters = NodeMetrics()
    replica = Acceptor(NAME, RING, store, Ballots(1, store, CLOCK))
    partners = QuorumPeers(NAME, RING, transport, CLOCK, counters)
    agreement = QuorumRead(RING, replica, decided, partners, CLOCK, counters)

    async def scenario() -> State | None:
        replica.offer(KEY, MINE)
        await replica.writes.all_durable()
        if before:
            decided.told(9, 0, 2 << 40)
        now = CLOCK.now()
        return await agreement.find(KEY, now + 5, now)

    found = asyncio.run(scenario())
    store.close()
    assert (found is None, transport.pushed) == ((False, 0) if before else (True, 1))


class Mute:
    """A `Transport` to nodes that look well and say nothing for as long as one is patient."""

    def __init__(self) -> None:
        self.asked = 0

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        self.asked += 1
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[Reply] = loop.create_future()
        loop.call_later(0.02, asked.set_exception, Silent(to))
        return asked

    def condition(self, _to: str) -> Condition:
        """As `Transport.condition`."""
        return Condition.UP


def cut_off(store: RocksStore, mute: Mute) -> tuple[Coordinator, FastWrite]:
    """A home that hears from nobody."""
    ballots = Ballots(1, store, CLOCK)
    rounds, replica = OpenRounds(ballots), Acceptor(NAME, RING, store, ballots)
    coordinator = Coordinator(
        NAME, RING, replica, ballots, rounds, CommitIndex(1, store), mute, CLOCK, random.Random(1)
    )
    return coordinator, FastWrite(NAME, RING, replica, ballots, rounds, mute, coordinator)


def test_partner_that_was_silent_on_the_fast_path_is_not_asked_again(tmp_path: Path) -> None:
    """The standby's silence after it is the second, and leaves the time to another coordinator."""
    store, mute = RocksStore(tmp_path, Fsync.OS), Mute()
    _, fast = cut_off(store, mute)

    async def scenario() -> Reply:
        await fast._ballots.issue(above=NEVER)
        request = CoordinateChange(KEY, Kind.CREATE, b"{}", (), b"%012d" % 1, b"", False, b"gw", 0)
        handling = fast.do(request, CLOCK.now() + 60)
        assert isinstance(handling, asyncio.Future)
        return await handling

    reply = asyncio.run(scenario())
    store.close()
    assert reply == Undecided(True, "neither partner answered")
    assert mute.asked == 2


def test_whoever_waited_does_not_ask_again_who_was_silent_meanwhile(tmp_path: Path) -> None:
    """Operations that wait for one record's turn at a node cut off all learn it from the first."""
    store, mute = RocksStore(tmp_path, Fsync.OS), Mute()
    coordinator, _ = cut_off(store, mute)

    async def change(number: int) -> bool:
        name = Operation(b"%012d" % number, b"")
        with pytest.raises(Expired) as expired:
            await coordinator.change(KEY, Change(Kind.CREATE, b"{}"), name, False, CLOCK.now() + 60)
        return expired.value.maybe

    async def scenario() -> list[bool]:
        return await asyncio.gather(*map(change, range(5)))

    doubts = asyncio.run(scenario())
    store.close()
    assert doubts == [True, False, False, False, False]
    assert mute.asked == 2
