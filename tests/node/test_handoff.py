"""Batches of hints on their way home: how many at a time, and what an unanswered one stops."""

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
from ddb.node.repair.handoff import IDLE_BATCHES_IN_FLIGHT, Handoff
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
"""Of one partition, so that a pass over it takes several batches."""

Waiting = tuple[tuple[str, HandoffBatch], asyncio.Future[Reply]]
"""Whom what was handed, and its answer."""


@dataclass(slots=True)
class Homes:
    """A transport to homes which take whatever they are handed once they are let."""

    asked: list[tuple[str, HandoffBatch]] = field(default_factory=list)
    answers: list[asyncio.Future[Reply]] = field(default_factory=list)
    out: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        assert isinstance(request, HandoffBatch)
        self.asked.append((to, request))
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        if to in self.out:
            return Condition.DOWN
        return Condition.SLOW if to in self.slow else Condition.UP

    def take(self, count: int) -> None:
        """Answer the oldest `count` requests that wait: all is held now."""
        self._take(self._waiting()[:count])

    def take_newest(self, count: int) -> None:
        """As `take`, the newest ones."""
        self._take(self._waiting()[-count:])

    def lose(self, count: int) -> None:
        """Leave the oldest `count` requests that wait without an answer."""
        for (to, _), answer in self._waiting()[:count]:
            answer.set_exception(Silent(to))

    def fail_newest(self, count: int, error: Exception) -> None:
        """End the newest `count` requests that wait with an error that is no want of an answer."""
        for _, answer in self._waiting()[-count:]:
            answer.set_exception(error)

    def batches(self) -> int:
        """How many batches were handed to all homes."""
        return len(self.asked) // len(HOMES)

    def _take(self, waiting: list[Waiting]) -> None:
        for (_, request), answer in waiting:
            answer.set_result(HandoffResult([(peek(raw), NEVER) for _, raw in request.states]))

    def _waiting(self) -> list[Waiting]:
        pairs = zip(self.asked, self.answers, strict=True)
        return [(asked, answer) for asked, answer in pairs if not answer.done()]


@asynccontextmanager
async def standby(path: Path) -> AsyncIterator[tuple[Handoff, Acceptor, Homes]]:
    """A standby that holds a hint of every key, and no client asks it for anything."""
    store, homes, clock = RocksStore(path, Fsync.OS), Homes(), SystemClock()
    ballots = Ballots(1, store, clock)
    replica = Acceptor(NAME, RING, store, ballots)
    coordinator = Coordinator(
        NAME,
        RING,
        replica,
        ballots,
        OpenRounds(ballots),
        CommitIndex(1, store),
        homes,
        clock,
        random.Random(1),
    )
    for number, key in enumerate(KEYS):
        replica.offer(key, encode(State((Dot((1 << 40) + number, 9),), True, b"{}")))
    await replica.writes.all_durable()
    try:
        yield Handoff(RING, replica, ballots, coordinator, homes, clock), replica, homes
    finally:
        store.close()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddb.node.repair.handoff.IDLE_BATCH_HINTS", BATCH)
    monkeypatch.setattr("ddb.node.repair.handoff.BUSY_BATCH_HINTS", BATCH)
    monkeypatch.setattr("ddb.node.repair.handoff.CLIENT_QUIET_S", 0.0)
    monkeypatch.setattr("ddb.node.repair.handoff.BUSY_PAUSE_FACTOR", 0.0)


async def _turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


def test_the_next_batch_is_on_its_way_while_one_is_taken(tmp_path: Path) -> None:
    """While no client asks, so many batches are under way at a time; all hints come home."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            sweep = asyncio.ensure_future(handoff.sweep())
            most = 0
            while not sweep.done():
                await _turns()
                under_way = sum(not answer.done() for answer in homes.answers) // len(HOMES)
                most = max(most, under_way)
                homes.take(len(HOMES))
            assert await sweep == len(KEYS)
            assert replica.hints.total == 0
            assert most == IDLE_BATCHES_IN_FLIGHT > 1
            assert {to for to, _ in homes.asked} == set(HOMES)
            handed = [key for _, hand in homes.asked for key, _ in hand.states]
            assert sorted(handed) == sorted([*KEYS, *KEYS])

    run(scenario())


def test_clients_who_ask_meet_one_batch_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While clients ask this node, a batch is taken before the next one goes out."""
    monkeypatch.setattr("ddb.node.repair.handoff.CLIENT_QUIET_S", 60.0)

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


def test_an_unanswered_batch_stops_the_sweep_and_loses_nothing(tmp_path: Path) -> None:
    """A home that is silent is handed nothing more; what the other batches brought home is gone."""

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


def test_no_rest_follows_a_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a batch is lost the sweep ends with the last answer, and rests for no silence."""
    monkeypatch.setattr("ddb.node.repair.handoff.IDLE_PAUSE_FACTOR", 10_000.0)

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, _, homes):
            sweep = asyncio.ensure_future(handoff.sweep())
            await _turns()
            homes.lose(len(HOMES))
            await _turns()
            homes.take((IDLE_BATCHES_IN_FLIGHT - 1) * len(HOMES))
            await sweep

    run(scenario())


def test_batches_taken_in_another_order_all_come_home(tmp_path: Path) -> None:
    """What goes out first may be taken last."""

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
    """What is no want of an answer is nothing to go on after, whichever batch meets it."""

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


def test_a_home_that_missed_a_batch_does_not_hold_everything(tmp_path: Path) -> None:
    """A pass of which one batch was not answered makes no keeper, though the next was taken."""

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
            homes.out = {"db-2"}
            await pass_over(handoff, homes, missed=0)
            assert replica.hints.keepers() == {PARTITION: ("db-1",)}
            homes.out = {"db-1"}
            await pass_over(handoff, homes, missed=1)
            assert replica.hints.keepers() == {PARTITION: ("db-1",)}
            await pass_over(handoff, homes, missed=0)
            assert replica.hints.keepers() == {PARTITION: ("db-1", "db-2")}

    run(scenario())


def test_a_node_that_stops_leaves_no_batch_behind(tmp_path: Path) -> None:
    """Whoever cancels the handing off ends all that is under way."""

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
    ("slow", "out", "asked"),
    [
        ({"db-1"}, set(), {"db-2"}),
        (set(HOMES), set(), set(HOMES)),
        ({"db-1"}, {"db-2"}, {"db-1"}),
    ],
    ids=["one slow", "both slow", "the other out"],
)
def test_slow_home_is_handed_hints_where_no_better_one_waits(
    slow: set[str], out: set[str], asked: set[str], tmp_path: Path
) -> None:
    """A slow home delays no other, and still gets its hints where all disks are slow."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, _, homes):
            homes.slow, homes.out = slow, out
            sweep = asyncio.ensure_future(handoff.sweep())
            await _turns()
            assert {to for to, _ in homes.asked} == asked
            sweep.cancel()
            await asyncio.gather(sweep, return_exceptions=True)

    run(scenario())
