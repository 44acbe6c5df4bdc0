"""The order of a handoff: hints that become alone during a pass come first."""

import asyncio
from pathlib import Path

import pytest

from ddb.node.repair.handoff import Handoff
from ddb.node.repair.handoff_pacing import IDLE_BATCHES_IN_FLIGHT
from ddb.node.replica.acceptor import Acceptor
from ddb.record.codec import encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import key_of, partition_in
from ddb.wire.ports import Condition
from tests.fakes.cell import RING
from tests.loop import run, turns
from tests.node.standby import HOMES, KEYS, PARTITION, Homes, standby, take_all

pytestmark = pytest.mark.usefixtures("small_batches")

OTHER_KEY = next(
    key
    for key in (key_of(f"user-{n}") for n in range(40_000))
    if partition_in(key) != PARTITION and RING.cell(key).homes == HOMES
)
"""A key of another partition with the same homes."""


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


@pytest.mark.usefixtures("clients_ask")
def test_a_changed_hint_does_not_wait_for_the_pass(tmp_path: Path) -> None:
    """A hint that becomes alone during a pass is in the next batch, so COUNT soon has a keeper."""

    async def scenario() -> None:
        async with standby(tmp_path) as (handoff, replica, homes):
            homes.conditions = {"db-1": Condition.DOWN}
            await take_all(asyncio.ensure_future(handoff.sweep()), homes)
            homes.conditions = {}
            assert await changed_during_a_pass(handoff, replica, homes, KEYS[-1])

    run(scenario())


@pytest.mark.usefixtures("clients_ask")
def test_a_changed_hint_does_not_wait_for_other_partitions(tmp_path: Path) -> None:
    """A keeper gets a changed hint at once, also while it catches up with another partition."""

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
