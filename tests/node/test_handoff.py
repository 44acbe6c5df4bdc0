"""Handoff of batches: how many are in flight, and what a lost one stops."""

import asyncio
from pathlib import Path

import pytest

from ddb.node.repair.handoff import Handoff
from ddb.node.repair.handoff_pacing import IDLE_BATCHES_IN_FLIGHT
from ddb.node.storage.store import Family
from ddb.wire.ports import Condition
from tests.loop import run, turns
from tests.node.standby import BATCH, HOMES, KEYS, PARTITION, Homes, standby, take_all

pytestmark = pytest.mark.usefixtures("small_batches")


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


@pytest.mark.usefixtures("clients_ask")
def test_one_batch_is_in_flight_while_clients_ask(tmp_path: Path) -> None:
    """While clients ask, the standby sends a batch only after the reply to the last one."""

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


def test_a_hint_that_becomes_malformed_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused hint whose row is malformed after its round stays out of the retry."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):

            async def spoil(keys: list[bytes]) -> bool:
                await replica.copies._store.commit([(Family.HINTS, keys[0], b"\x11\x03\x01")])
                return True

            monkeypatch.setattr(handoff, "_refresh", spoil)
            sweep = asyncio.ensure_future(handoff.sweep())
            await turns(20, 0.001)
            homes.refuse(len(HOMES))
            await take_all(sweep, homes)
            malformed, *others = (key for key, _ in homes.sent[0][1].states)
            handed = [key for _, hand in homes.sent for key, _ in hand.states]
            assert handed.count(malformed) == len(HOMES)
            assert {handed.count(key) for key in others} == {2 * len(HOMES)}
            assert replica.copies.damaged(malformed)

    run(scenario())


def test_a_home_that_missed_a_batch_is_no_keeper(tmp_path: Path) -> None:
    """A pass with one lost batch makes no keeper, although later batches succeed."""

    async def pass_over(handoff: Handoff, homes: Homes, missed: int) -> None:
        sweep = asyncio.ensure_future(handoff.sweep())
        await turns(20, 0.001)
        homes.lose(missed)
        await take_all(sweep, homes)

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
