"""Rounds that bring homes up, among real replicas one call apart."""

import asyncio
import inspect
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ddb.node.consensus.commit_gossip import RECOVERY_BATCH_KEYS, CommitGossip
from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.coordinator import Coordinator, Outrun
from ddb.node.consensus.open_rounds import Fate, OpenRounds
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.rocksdb import RocksStore
from ddb.record.change import Change, Kind, Outcome
from ddb.record.codec import encode
from ddb.record.state import Operation, State
from ddb.record.version import Dot
from ddb.ring.ring import Ring, key_of
from ddb.runtime.system_clock import SystemClock
from ddb.settings import Fsync
from ddb.wire.messages import Accept, Propose, ReadReplica, Reply, Request
from ddb.wire.ports import Condition

NAMES = ("db-0", "db-1", "db-2")
KEY = key_of("ada")
RING = Ring(NAMES)
CELL = RING.cell(KEY)
CLOCK = SystemClock()
FAR = 1 << 60
"""A counter ahead of every clock."""


@dataclass(slots=True)
class Together:
    """A transport between the nodes of one process."""

    replicas: dict[str, Acceptor] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        self.asked.append(to)
        return asyncio.ensure_future(self._answer(self.replicas[to], request))

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        return Condition.UP

    async def _answer(self, replica: Acceptor, request: Request) -> Reply:
        match request:
            case ReadReplica():
                handling = replica.read(request, lambda _: False)
            case Propose():
                handling = replica.propose(request)
            case Accept():
                handling = replica.accept(request)
            case _:
                raise AssertionError(request)
        return await handling if inspect.isawaitable(handling) else handling


@contextmanager
def cell_at(path: Path) -> Iterator[tuple[Together, Coordinator]]:
    """The cell's three replicas, which hold the record, and the standby's coordinator."""
    stores = {name: RocksStore(path / name, Fsync.OS) for name in NAMES}
    together = Together()
    ballots = {name: Ballots(number, stores[name], CLOCK) for number, name in enumerate(NAMES, 1)}
    for name, store in stores.items():
        together.replicas[name] = Acceptor(name, RING, store, ballots[name])
    standby = CELL.standby
    yield (
        together,
        Coordinator(
            standby,
            RING,
            together.replicas[standby],
            ballots[standby],
            OpenRounds(ballots[standby]),
            CommitIndex(ballots[standby].node_id, stores[standby]),
            together,
            CLOCK,
            random.Random(1),
        ),
    )
    for store in stores.values():
        store.close()


async def hold(together: Together) -> None:
    """Let all of them hold the same record."""
    for replica in together.replicas.values():
        replica.offer(KEY, encode(State((Dot(1 << 40, 9),), True, b"{}")))
        await replica.writes.all_durable()


def test_refresh_gives_way_to_another_coordinator(tmp_path: Path) -> None:
    """A round that only brings homes up does not fight a client's operation on the record."""

    async def scenario(together: Together, coordinator: Coordinator) -> None:
        await hold(together)
        for home in CELL.homes:
            together.replicas[home].promise(KEY, Dot(FAR, 7))
        with pytest.raises(Outrun):
            await coordinator.refresh(KEY, CLOCK.now() + 1)
        assert len(together.asked) == 1
        assert all(together.replicas[home].promised(KEY) == Dot(FAR, 7) for home in CELL.homes)
        # Next time it is above that: whoever promised it may be gone.
        assert (await coordinator.refresh(KEY, CLOCK.now() + 1)).newest.counter > FAR

    with cell_at(tmp_path) as (together, coordinator):
        asyncio.run(scenario(together, coordinator))


def test_refresh_does_not_give_way_to_a_floor(tmp_path: Path) -> None:
    """A home that restarted refuses what is old, and nobody else is there to bring it up."""

    async def scenario(together: Together, coordinator: Coordinator) -> None:
        await hold(together)
        for home in CELL.homes:
            await together.replicas[home].raise_floor(FAR)
        assert (await coordinator.refresh(KEY, CLOCK.now() + 1)).newest.counter > FAR

    with cell_at(tmp_path) as (together, coordinator):
        asyncio.run(scenario(together, coordinator))


def test_all_rounds_left_open_are_ended_at_once(tmp_path: Path) -> None:
    """Hundreds of them do not wait for one another's turn, some a second."""
    cell_mates = [
        key for key in (key_of(f"id{n}") for n in range(10_000)) if RING.cell(key) == CELL
    ][: 3 * RECOVERY_BATCH_KEYS]

    async def scenario(together: Together, coordinator: Coordinator) -> None:
        rounds = coordinator._rounds
        for key in cell_mates:
            rounds.end(key, rounds.begin(key), Fate.UNKNOWN)
        settling = CommitGossip(1, (), rounds, coordinator._ballots, coordinator, together, CLOCK)
        times = 1
        while await settling._end():
            times += 1
        assert len(rounds.left(1)) == 0
        assert times == 4
        assert len(together.asked) == 3 * RECOVERY_BATCH_KEYS

    assert len(cell_mates) == 3 * RECOVERY_BATCH_KEYS
    with cell_at(tmp_path) as (together, coordinator):
        asyncio.run(scenario(together, coordinator))


def test_trying_in_vain_is_put_off(tmp_path: Path) -> None:
    """Where a round cannot be ended now, those left are not tried over and over."""

    async def scenario(together: Together, coordinator: Coordinator) -> None:
        rounds = coordinator._rounds
        await hold(together)
        for home in CELL.homes:
            together.replicas[home].promise(KEY, Dot(FAR, 7))
        rounds.end(KEY, rounds.begin(KEY), Fate.UNKNOWN)
        settling = CommitGossip(1, (), rounds, coordinator._ballots, coordinator, together, CLOCK)
        assert not await settling._end()
        assert rounds.left(1) == [KEY]

    with cell_at(tmp_path) as (together, coordinator):
        asyncio.run(scenario(together, coordinator))


def test_refusal_is_answered_with_a_higher_ballot_to_the_same_partner(tmp_path: Path) -> None:
    """Of a partner that answers one knows that it does, of the other one not."""

    async def scenario(together: Together, coordinator: Coordinator) -> None:
        await hold(together)
        for home in CELL.homes:
            together.replicas[home].promise(KEY, Dot(FAR, 7))
        change, operation = Change(Kind.UPDATE, b'{"a":1}'), Operation(b"%012d" % 1, b"")
        outcome, _ = await coordinator.change(KEY, change, operation, False, CLOCK.now() + 5)
        assert outcome is Outcome.DONE
        assert len(together.asked) > 1
        assert len(set(together.asked)) == 1

    with cell_at(tmp_path) as (together, coordinator):
        asyncio.run(scenario(together, coordinator))
