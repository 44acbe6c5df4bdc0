"""A quorum read and a change while other nodes act, message by message."""

import asyncio
import random
from pathlib import Path

import pytest

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.consensus.quorum_peers import Expired, QuorumPeers
from ddb.node.consensus.quorum_read import QuorumRead
from ddb.node.context import NodeContext
from ddb.node.fastpath.fast_write import FastWrite
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
NAME, OTHER_HOME = CELL.homes
OLD, MINE = (encode(State((Dot(counter << 40, 9),), True, b"{}")) for counter in (1, 2))
LATER = Dot(3 << 40, 9)
CLOCK = SystemClock()


class OvertakenStandby:
    """A standby that answers a read from an old copy, then promises a newer ballot.

    `before`: True if the commit notice arrives before the read. False if it arrives during it.
    """

    def __init__(self, decided: CommitIndex, *, before: bool) -> None:
        self._decided = decided
        self._before = before
        self.repairs = 0

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        assert to == CELL.standby
        match request:
            case ReadReplica():
                if not self._before:
                    self._decided.advance(9, 0, 2 << 40)
                reply.set_result(ReplicaState(OLD))
            case Accept():
                self.repairs += 1
                reply.set_result(Rejected(LATER, LATER))
            case _:
                raise AssertionError(request)
        return reply

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        return Condition.DOWN if to == OTHER_HOME else Condition.UP


@pytest.mark.parametrize("before", [True, False])
def test_commit_notice_during_a_read_does_not_count(tmp_path: Path, before: bool) -> None:
    """A quorum read uses only commit notices that arrived before its request."""
    store = RocksStore(tmp_path, Fsync.OS)
    decided = CommitIndex(1, store)
    transport = OvertakenStandby(decided, before=before)
    replica = Acceptor(NAME, RING, store, Ballots(1, store, CLOCK))
    context = NodeContext(NAME, RING, store, transport, CLOCK, random.Random(1))
    quorum_read = QuorumRead(context, replica, decided, QuorumPeers(context))

    async def scenario() -> State | None:
        replica.offer(KEY, MINE)
        await replica.writes.wait_all()
        if before:
            decided.advance(9, 0, 2 << 40)
        now = CLOCK.now()
        return await quorum_read.find(KEY, now + 5, now)

    found = asyncio.run(scenario())
    store.close()
    assert (found is None, transport.repairs) == ((False, 0) if before else (True, 1))


class SilentNodes:
    """A `Transport` to nodes that are connected and silent until each request times out."""

    def __init__(self) -> None:
        self.asked = 0

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        self.asked += 1
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Reply] = loop.create_future()
        loop.call_later(0.02, reply.set_exception, Silent(to))
        return reply

    def condition(self, _to: str) -> Condition:
        """As `Transport.condition`."""
        return Condition.UP


def isolated_home(store: RocksStore, silent: SilentNodes) -> tuple[Coordinator, FastWrite]:
    """A home that receives no replies."""
    ballots = Ballots(1, store, CLOCK)
    rounds, replica = OpenRounds(ballots), Acceptor(NAME, RING, store, ballots)
    context = NodeContext(NAME, RING, store, silent, CLOCK, random.Random(1))
    coordinator = Coordinator(context, replica, ballots, rounds, CommitIndex(1, store))
    return coordinator, FastWrite(context, replica, ballots, rounds, coordinator)


def test_peer_that_was_silent_on_the_fast_path_is_not_asked_again(tmp_path: Path) -> None:
    """After the home, the standby is silent too, and the node leaves its time to another node."""
    store, silent = RocksStore(tmp_path, Fsync.OS), SilentNodes()
    _, fast = isolated_home(store, silent)

    async def scenario() -> Reply:
        await fast._ballots.issue(above=NEVER)
        request = CoordinateChange(KEY, Kind.CREATE, b"{}", (), b"%012d" % 1, b"", False, b"gw", 0)
        handling = fast.change(request, CLOCK.now() + 60)
        assert isinstance(handling, asyncio.Future)
        return await handling

    reply = asyncio.run(scenario())
    store.close()
    assert reply == Undecided(True, "neither peer replied")
    assert silent.asked == 2


def test_queued_changes_do_not_ask_peers_that_were_silent_meanwhile(tmp_path: Path) -> None:
    """At an isolated node the first of several queued changes finds out for all of them."""
    store, silent = RocksStore(tmp_path, Fsync.OS), SilentNodes()
    coordinator, _ = isolated_home(store, silent)

    async def change(number: int) -> bool:
        name = Operation(b"%012d" % number, b"")
        with pytest.raises(Expired) as expired:
            await coordinator.change(KEY, Change(Kind.CREATE, b"{}"), name, False, CLOCK.now() + 60)
        return expired.value.in_doubt

    async def scenario() -> list[bool]:
        return await asyncio.gather(*map(change, range(5)))

    doubts = asyncio.run(scenario())
    store.close()
    assert doubts == [True, False, False, False, False]
    assert silent.asked == 2
