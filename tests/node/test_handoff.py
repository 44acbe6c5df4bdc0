"""Handoff of batches: how many are in flight, and what a lost one stops."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.context import NodeContext
from ddb.node.repair.handoff import Handoff
from ddb.node.repair.handoff_pacing import IDLE_BATCHES_IN_FLIGHT
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.rocksdb import RocksStore
from ddb.record.codec import encode, peek
from ddb.record.state import State
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import Ring, key_of, partition_in
from ddb.runtime.system_clock import SystemClock
from ddb.settings import Fsync
from ddb.wire.messages import HandoffBatch, HandoffResult, Reply, Request
from ddb.wire.ports import Condition, Silent
from tests.loop import run

NAME = "db-0"
RING = Ring((NAME, "db-1", "db-2"))
HOMES = ("db-1", "db-2")
BATCH = 4
PARTITION = next(n for n, cell in enumerate(RING.cells) if cell.homes == HOMES)
KEYS = [
    key for key in (key_of(f"user-{n}") for n in range(40_000)) if partition_in(key) == PARTITION
][: 5 * BATCH]
"""Keys of one partition, so that a pass over it takes several batches."""

Sent = tuple[str, HandoffBatch]
"""A home, and the batch that it got."""


@dataclass(slots=True)
class Homes:
    """A `Transport` to homes that confirm a batch when the test calls `take`."""

    sent: list[Sent] = field(default_factory=list)
    answers: list[asyncio.Future[Reply]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """Like `Transport.ask`."""
        assert isinstance(request, HandoffBatch)
        self.sent.append((to, request))
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]

    def condition(self, to: str) -> Condition:
        """Like `Transport.condition`."""
        if to in self.down:
            return Condition.DOWN
        return Condition.SLOW if to in self.slow else Condition.UP

    def take(self, count: int) -> None:
        """Confirm the oldest `count` open requests: the home stores all states."""
        self._take(self._waiting()[:count])

    def take_newest(self, count: int) -> None:
        """Like `take`, for the newest `count` open requests."""
        self._take(self._waiting()[-count:])

    def lose(self, count: int) -> None:
        """Fail the oldest `count` open requests as `Silent`."""
        for (to, _), answer in self._waiting()[:count]:
            answer.set_exception(Silent(to))

    def fail_newest(self, count: int, error: Exception) -> None:
        """Fail the newest `count` open requests with `error`."""
        for _, answer in self._waiting()[-count:]:
            answer.set_exception(error)

    def batches(self) -> int:
        """Return the number of batches that all homes got."""
        return len(self.sent) // len(HOMES)

    def _take(self, waiting: list[tuple[Sent, asyncio.Future[Reply]]]) -> None:
        for (_, request), answer in waiting:
            answer.set_result(HandoffResult([(peek(raw), NEVER) for _, raw in request.states]))

    def _waiting(self) -> list[tuple[Sent, asyncio.Future[Reply]]]:
        pairs = zip(self.sent, self.answers, strict=True)
        return [(sent, answer) for sent, answer in pairs if not answer.done()]


@asynccontextmanager
async def standby(path: Path) -> AsyncIterator[tuple[Handoff, Acceptor, Homes]]:
    """Yield a standby with a hint of each key, without clients."""
    store, homes, clock = RocksStore(path, Fsync.OS), Homes(), SystemClock()
    ballots = Ballots(1, store, clock)
    replica = Acceptor(NAME, RING, store, ballots)
    context = NodeContext(NAME, RING, store, homes, clock, random.Random(1))
    coordinator = Coordinator(context, replica, ballots, OpenRounds(ballots), CommitIndex(1, store))
    for number, key in enumerate(KEYS):
        replica.offer(key, encode(State((Dot((1 << 40) + number, 9),), True, b"{}")))
    await replica.writes.wait_all()
    try:
        yield Handoff(context, replica, ballots, coordinator), replica, homes
    finally:
        store.close()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.IDLE_BATCH_HINTS", BATCH)
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.BUSY_BATCH_HINTS", BATCH)
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.CLIENT_QUIET_S", 0.0)
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.BUSY_PAUSE_FACTOR", 0.0)


async def _turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


def test_several_batches_are_in_flight_without_clients(tmp_path: Path) -> None:
    """While no client asks, `IDLE_BATCHES_IN_FLIGHT` batches are in flight, and all succeed."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            sweep = asyncio.ensure_future(handoff.sweep())
            most = 0
            while not sweep.done():
                await _turns()
                in_flight = sum(not answer.done() for answer in homes.answers) // len(HOMES)
                most = max(most, in_flight)
                homes.take(len(HOMES))
            assert await sweep == len(KEYS)
            assert replica.hints.total == 0
            assert most == IDLE_BATCHES_IN_FLIGHT > 1
            assert {to for to, _ in homes.sent} == set(HOMES)
            handed = [key for _, hand in homes.sent for key, _ in hand.states]
            assert sorted(handed) == sorted([*KEYS, *KEYS])

    run(scenario())


def test_one_batch_is_in_flight_while_clients_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While clients ask, the standby sends a batch only after the reply to the last one."""
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.CLIENT_QUIET_S", 60.0)

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            replica.reads += 1
            sweep = asyncio.ensure_future(handoff.sweep())
            taken = 0
            while not sweep.done():
                await _turns()
                assert homes.batches() <= taken + 1
                homes.take(len(HOMES))
                taken += 1
            assert await sweep == len(KEYS)

    run(scenario())


def test_a_lost_batch_ends_the_sweep(tmp_path: Path) -> None:
    """After a silent home the sweep sends no batch, and drops the hints of confirmed ones."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            sweep = asyncio.ensure_future(handoff.sweep())
            await _turns()
            homes.lose(len(HOMES))
            await _turns()
            assert not sweep.done()
            others = IDLE_BATCHES_IN_FLIGHT - 1
            homes.take(others * len(HOMES))
            await sweep
            assert homes.batches() == IDLE_BATCHES_IN_FLIGHT
            assert replica.hints.total == len(KEYS) - others * BATCH

    run(scenario())


def test_no_pause_follows_a_lost_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a lost batch the sweep ends with the last reply, without a pause."""
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.IDLE_PAUSE_FACTOR", 10_000.0)

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, _, homes):
            sweep = asyncio.ensure_future(handoff.sweep())
            await _turns()
            homes.lose(len(HOMES))
            await _turns()
            homes.take((IDLE_BATCHES_IN_FLIGHT - 1) * len(HOMES))
            await sweep

    run(scenario())


def test_replies_may_come_in_another_order(tmp_path: Path) -> None:
    """The sweep drops all hints when the newest batch is confirmed first."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            sweep = asyncio.ensure_future(handoff.sweep())
            while not sweep.done():
                await _turns()
                for _ in range(IDLE_BATCHES_IN_FLIGHT):
                    homes.take_newest(len(HOMES))
                    await _turns()
            assert await sweep == len(KEYS)
            assert replica.hints.total == 0

    run(scenario())


def test_an_error_ends_the_sweep(tmp_path: Path) -> None:
    """Any error other than a missing reply ends the sweep."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            sweep = asyncio.ensure_future(handoff.sweep())
            await _turns()
            homes.fail_newest(len(HOMES), ZeroDivisionError("planted"))
            await _turns()
            homes.take((IDLE_BATCHES_IN_FLIGHT - 1) * len(HOMES))
            with pytest.raises(ZeroDivisionError):
                await sweep
            assert replica.hints.total == len(KEYS) - (IDLE_BATCHES_IN_FLIGHT - 1) * BATCH

    run(scenario())


def test_a_home_that_missed_a_batch_is_no_keeper(tmp_path: Path) -> None:
    """A pass with one lost batch makes no keeper, although later batches succeed."""

    async def pass_over(handoff: Handoff, homes: Homes, missed: int) -> None:
        sweep = asyncio.ensure_future(handoff.sweep())
        await _turns()
        homes.lose(missed)
        while not sweep.done():
            homes.take(1)
            await _turns()
        await sweep

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            homes.down = {"db-2"}
            await pass_over(handoff, homes, missed=0)
            assert replica.hints.keepers() == {PARTITION: ("db-1",)}
            homes.down = {"db-1"}
            await pass_over(handoff, homes, missed=1)
            assert replica.hints.keepers() == {PARTITION: ("db-1",)}
            await pass_over(handoff, homes, missed=0)
            assert replica.hints.keepers() == {PARTITION: ("db-1", "db-2")}

    run(scenario())


def test_a_node_that_stops_leaves_no_batch_behind(tmp_path: Path) -> None:
    """A cancelled sweep cancels all batches in flight."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            before = asyncio.all_tasks()
            sweep = asyncio.ensure_future(handoff.sweep())
            await _turns()
            sweep.cancel()
            await _turns()
            assert sweep.cancelled()
            assert all(answer.cancelled() for answer in homes.answers)
            assert replica.hints.total == len(KEYS)
            assert asyncio.all_tasks() == before

    run(scenario())


@pytest.mark.parametrize(
    ("slow", "down", "receivers"),
    [
        ({"db-1"}, set(), {"db-2"}),
        (set(HOMES), set(), set(HOMES)),
        ({"db-1"}, {"db-2"}, {"db-1"}),
    ],
    ids=["one slow", "both slow", "the other down"],
)
def test_a_slow_home_gets_hints_if_no_other_is_better(
    slow: set[str], down: set[str], receivers: set[str], tmp_path: Path
) -> None:
    """A slow home gets no hints while the other is up, and gets them where both are slow."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, _, homes):
            homes.slow, homes.down = slow, down
            sweep = asyncio.ensure_future(handoff.sweep())
            await _turns()
            assert {to for to, _ in homes.sent} == receivers
            sweep.cancel()
            await asyncio.gather(sweep, return_exceptions=True)

    run(scenario())
