"""Handoff of batches: how many are in flight, and what a lost one stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ddb.node.repair.handoff import Handoff
from ddb.node.repair.handoff_pacing import IDLE_BATCHES_IN_FLIGHT
from ddb.node.replica.acceptor import Acceptor
from ddb.record.codec import encode, peek
from ddb.record.state import State
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import key_of, partition_in
from ddb.wire.messages import HandoffBatch, HandoffResult, Reply
from ddb.wire.ports import Condition, Silent
from tests.fakes.cell import RING, cell_node
from tests.fakes.transport import Asked, FakeTransport
from tests.loop import run, turns

NAME = "db-0"
HOMES = ("db-1", "db-2")
BATCH = 4
PARTITION = next(n for n, cell in enumerate(RING.cells) if cell.homes == HOMES)
KEYS = [
    key for key in (key_of(f"user-{n}") for n in range(40_000)) if partition_in(key) == PARTITION
][: 5 * BATCH]
"""Keys of one partition, so that a pass over it takes several batches."""
OTHER_KEY = next(
    key
    for key in (key_of(f"user-{n}") for n in range(40_000))
    if partition_in(key) != PARTITION and RING.cell(key).homes == HOMES
)
"""A key of another partition with the same homes."""

Sent = tuple[str, HandoffBatch]
"""A home, and the batch that it got."""


class Homes(FakeTransport):
    """Homes that confirm a batch when the test calls `take`."""

    def __init__(self) -> None:
        super().__init__(self._keep_waiting)
        self.sent: list[Sent] = []
        self.answers: list[asyncio.Future[Reply]] = []

    def _keep_waiting(self, asked: Asked) -> asyncio.Future[Reply]:
        assert isinstance(asked.request, HandoffBatch)
        self.sent.append((asked.to, asked.request))
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]

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
    homes = Homes()
    with cell_node(path, NAME, homes) as node:
        for number, key in enumerate(KEYS):
            state = State((Dot((1 << 40) + number, 9),), True, b"{}")
            node.replica.offer(key, encode(state))
        await node.replica.writes.wait_all()
        handoff = Handoff(node.context, node.replica, node.ballots, node.coordinator)
        yield handoff, node.replica, homes


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.IDLE_BATCH_HINTS", BATCH)
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.BUSY_BATCH_HINTS", BATCH)
    monkeypatch.setattr("ddb.node.repair.hint_order.ALONE_CHECK_HINTS", BATCH)
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.CLIENT_QUIET_S", 0.0)
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.BUSY_PAUSE_FACTOR", 0.0)


def test_several_batches_are_in_flight_without_clients(tmp_path: Path) -> None:
    """While no client asks, `IDLE_BATCHES_IN_FLIGHT` batches are in flight, and all succeed."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            sweep = asyncio.ensure_future(handoff.sweep())
            most = 0
            while not sweep.done():
                await turns(20, 0.001)
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
                await turns(20, 0.001)
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
            await turns(20, 0.001)
            homes.lose(len(HOMES))
            await turns(20, 0.001)
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
            await turns(20, 0.001)
            homes.lose(len(HOMES))
            await turns(20, 0.001)
            homes.take((IDLE_BATCHES_IN_FLIGHT - 1) * len(HOMES))
            await sweep

    run(scenario())


def test_replies_may_come_in_another_order(tmp_path: Path) -> None:
    """The sweep drops all hints when the newest batch is confirmed first."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            sweep = asyncio.ensure_future(handoff.sweep())
            while not sweep.done():
                await turns(20, 0.001)
                for _ in range(IDLE_BATCHES_IN_FLIGHT):
                    homes.take_newest(len(HOMES))
                    await turns(20, 0.001)
            assert await sweep == len(KEYS)
            assert replica.hints.total == 0

    run(scenario())


def test_an_error_ends_the_sweep(tmp_path: Path) -> None:
    """Any error other than a missing reply ends the sweep."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            sweep = asyncio.ensure_future(handoff.sweep())
            await turns(20, 0.001)
            homes.fail_newest(len(HOMES), ZeroDivisionError("planted"))
            await turns(20, 0.001)
            homes.take((IDLE_BATCHES_IN_FLIGHT - 1) * len(HOMES))
            with pytest.raises(ZeroDivisionError):
                await sweep
            assert replica.hints.total == len(KEYS) - (IDLE_BATCHES_IN_FLIGHT - 1) * BATCH

    run(scenario())


def test_a_home_that_missed_a_batch_is_no_keeper(tmp_path: Path) -> None:
    """A pass with one lost batch makes no keeper, although later batches succeed."""

    async def pass_over(handoff: Handoff, homes: Homes, missed: int) -> None:
        sweep = asyncio.ensure_future(handoff.sweep())
        await turns(20, 0.001)
        homes.lose(missed)
        while not sweep.done():
            homes.take(1)
            await turns(20, 0.001)
        await sweep

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            homes.conditions = {"db-2": Condition.DOWN}
            await pass_over(handoff, homes, missed=0)
            assert replica.hints.keepers() == {PARTITION: ("db-1",)}
            homes.conditions = {"db-1": Condition.DOWN}
            await pass_over(handoff, homes, missed=1)
            assert replica.hints.keepers() == {PARTITION: ("db-1",)}
            await pass_over(handoff, homes, missed=0)
            assert replica.hints.keepers() == {PARTITION: ("db-1", "db-2")}

    run(scenario())


async def take_all(sweep: asyncio.Future[int], homes: Homes) -> None:
    """Confirm all batches until the end of `sweep`."""
    while not sweep.done():
        homes.take(len(HOMES))
        await turns(20, 0.001)
    await sweep


async def changed_during_a_pass(
    handoff: Handoff, replica: Acceptor, homes: Homes, key: bytes
) -> bool:
    """Change the hint of `key` during a pass; return whether the next batch contains it."""
    replica.reads += 1
    homes.sent.clear()
    homes.answers.clear()
    sweep = asyncio.ensure_future(handoff.sweep())
    await turns(20, 0.001)
    assert homes.sent, "no pass began"
    changed = encode(State((Dot(1 << 41, 9),), True, b"{}"))
    replica.offer(key, changed)
    await replica.writes.wait_all()
    homes.take(len(HOMES))
    await turns(20, 0.001)
    _, following = homes.sent[-1]
    await take_all(sweep, homes)
    return (key, changed) in following.states


def test_a_changed_hint_does_not_wait_for_the_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hint that becomes alone during a pass is in the next batch, so COUNT soon has a keeper."""
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.CLIENT_QUIET_S", 60.0)

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            homes.conditions = {"db-1": Condition.DOWN}
            await take_all(asyncio.ensure_future(handoff.sweep()), homes)
            homes.conditions = {}
            assert await changed_during_a_pass(handoff, replica, homes, KEYS[-1])

    run(scenario())


def test_a_changed_hint_does_not_wait_for_other_partitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keeper gets a changed hint at once, also while it catches up with another partition."""
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.CLIENT_QUIET_S", 60.0)

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            homes.conditions = {"db-1": Condition.DOWN}
            await take_all(asyncio.ensure_future(handoff.sweep()), homes)
            homes.conditions = {"db-2": Condition.DOWN}
            replica.offer(OTHER_KEY, encode(State((Dot(1 << 40, 9),), True, b"{}")))
            await replica.writes.wait_all()
            sweep = asyncio.ensure_future(handoff.sweep())
            await turns(20, 0.001)
            homes.take(1)
            await turns(20, 0.001)
            homes.lose(IDLE_BATCHES_IN_FLIGHT)
            await sweep
            keepers = {PARTITION: ("db-2",), partition_in(OTHER_KEY): ("db-1",)}
            assert replica.hints.keepers() == keepers
            assert await changed_during_a_pass(handoff, replica, homes, OTHER_KEY)

    run(scenario())


def test_a_node_that_stops_leaves_no_batch_behind(tmp_path: Path) -> None:
    """A cancelled sweep cancels all batches in flight."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            before = asyncio.all_tasks()
            sweep = asyncio.ensure_future(handoff.sweep())
            await turns(20, 0.001)
            sweep.cancel()
            await turns(20, 0.001)
            assert sweep.cancelled()
            assert all(answer.cancelled() for answer in homes.answers)
            assert replica.hints.total == len(KEYS)
            assert asyncio.all_tasks() == before

    run(scenario())


@pytest.mark.parametrize(
    ("conditions", "receivers"),
    [
        ({"db-1": Condition.SLOW}, {"db-2"}),
        (dict.fromkeys(HOMES, Condition.SLOW), set(HOMES)),
        ({"db-1": Condition.SLOW, "db-2": Condition.DOWN}, {"db-1"}),
    ],
    ids=["one slow", "both slow", "the other down"],
)
def test_a_slow_home_gets_hints_if_no_other_is_better(
    conditions: dict[str, Condition], receivers: set[str], tmp_path: Path
) -> None:
    """A slow home gets no hints while the other is up, and gets them where both are slow."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, _, homes):
            homes.conditions = conditions
            sweep = asyncio.ensure_future(handoff.sweep())
            await turns(20, 0.001)
            assert {to for to, _ in homes.sent} == receivers
            sweep.cancel()
            await asyncio.gather(sweep, return_exceptions=True)

    run(scenario())
