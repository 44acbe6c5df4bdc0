"""Repair rounds among real replicas in one process."""

import asyncio
import inspect
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.open_rounds import Fate, OpenRounds
from ddb.node.consensus.proposer import Outrun
from ddb.node.context import NodeContext
from ddb.node.repair.round_recovery import RECOVERY_BATCH_KEYS, RoundRecovery
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
class LocalCell:
    """A `Transport` between the replicas of one process."""

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
def cell_at(path: Path) -> Iterator[tuple[LocalCell, Coordinator]]:
    """Yield a transport to the cell's three replicas, and the standby's coordinator."""
    stores = {name: RocksStore(path / name, Fsync.OS) for name in NAMES}
    cell = LocalCell()
    ballots = {name: Ballots(number, stores[name], CLOCK) for number, name in enumerate(NAMES, 1)}
    for name, store in stores.items():
        cell.replicas[name] = Acceptor(name, RING, store, ballots[name])
    standby = CELL.standby
    yield (
        cell,
        Coordinator(
            NodeContext(standby, RING, stores[standby], cell, CLOCK, random.Random(1)),
            cell.replicas[standby],
            ballots[standby],
            OpenRounds(ballots[standby]),
            CommitIndex(ballots[standby].node_id, stores[standby]),
        ),
    )
    for store in stores.values():
        store.close()


async def store_everywhere(cell: LocalCell) -> None:
    """Store the same state of the record on all three."""
    for replica in cell.replicas.values():
        replica.offer(KEY, encode(State((Dot(1 << 40, 9),), True, b"{}")))
        await replica.writes.wait_all()


def test_refresh_gives_way_to_another_coordinator(tmp_path: Path) -> None:
    """A repair round gives way to a client's operation on the same record."""

    async def scenario(cell: LocalCell, coordinator: Coordinator) -> None:
        await store_everywhere(cell)
        for home in CELL.homes:
            cell.replicas[home].promise(KEY, Dot(FAR, 7))
        with pytest.raises(Outrun):
            await coordinator.refresh(KEY, CLOCK.now() + 1)
        assert len(cell.asked) == 1
        assert all(cell.replicas[home].promised(KEY) == Dot(FAR, 7) for home in CELL.homes)
        # The next refresh uses a higher ballot: the other coordinator may have stopped.
        assert (await coordinator.refresh(KEY, CLOCK.now() + 1)).newest.counter > FAR

    with cell_at(tmp_path) as (cell, coordinator):
        asyncio.run(scenario(cell, coordinator))


def test_refresh_does_not_give_way_to_a_floor(tmp_path: Path) -> None:
    """A repair round passes the floor of a restarted home: no other coordinator repairs it."""

    async def scenario(cell: LocalCell, coordinator: Coordinator) -> None:
        await store_everywhere(cell)
        for home in CELL.homes:
            await cell.replicas[home].raise_floor(FAR)
        assert (await coordinator.refresh(KEY, CLOCK.now() + 1)).newest.counter > FAR

    with cell_at(tmp_path) as (cell, coordinator):
        asyncio.run(scenario(cell, coordinator))


def test_all_interrupted_rounds_are_decided_in_one_pass(tmp_path: Path) -> None:
    """Full batches follow each other without a pause."""
    keys_of_cell = [
        key for key in (key_of(f"id{n}") for n in range(10_000)) if RING.cell(key) == CELL
    ][: 3 * RECOVERY_BATCH_KEYS]

    async def scenario(cell: LocalCell, coordinator: Coordinator) -> None:
        rounds = coordinator._proposer.rounds
        for key in keys_of_cell:
            rounds.begin(key).end(Fate.UNKNOWN)
        recovery = RoundRecovery(rounds, coordinator, CLOCK)
        times = 1
        while await recovery.recover_batch():
            times += 1
        assert len(rounds.interrupted(1)) == 0
        assert times == 4
        assert len(cell.asked) == 3 * RECOVERY_BATCH_KEYS

    assert len(keys_of_cell) == 3 * RECOVERY_BATCH_KEYS
    with cell_at(tmp_path) as (cell, coordinator):
        asyncio.run(scenario(cell, coordinator))


def test_failed_recovery_waits_for_the_next_pass(tmp_path: Path) -> None:
    """After a failed recovery the pass ends, and the key stays interrupted."""

    async def scenario(cell: LocalCell, coordinator: Coordinator) -> None:
        rounds = coordinator._proposer.rounds
        await store_everywhere(cell)
        for home in CELL.homes:
            cell.replicas[home].promise(KEY, Dot(FAR, 7))
        rounds.begin(KEY).end(Fate.UNKNOWN)
        recovery = RoundRecovery(rounds, coordinator, CLOCK)
        assert not await recovery.recover_batch()
        assert rounds.interrupted(1) == [KEY]

    with cell_at(tmp_path) as (cell, coordinator):
        asyncio.run(scenario(cell, coordinator))


def test_rejected_proposer_asks_the_same_peer_again(tmp_path: Path) -> None:
    """After a rejection the proposer sends a higher ballot to the peer that replied."""

    async def scenario(cell: LocalCell, coordinator: Coordinator) -> None:
        await store_everywhere(cell)
        for home in CELL.homes:
            cell.replicas[home].promise(KEY, Dot(FAR, 7))
        change, operation = Change(Kind.UPDATE, b'{"a":1}'), Operation(b"%012d" % 1, b"")
        outcome, _ = await coordinator.change(KEY, change, operation, False, CLOCK.now() + 5)
        assert outcome is Outcome.DONE
        assert len(cell.asked) > 1
        assert len(set(cell.asked)) == 1

    with cell_at(tmp_path) as (cell, coordinator):
        asyncio.run(scenario(cell, coordinator))
