"""The whole cluster in simulation: a sample of seeds, replayed exactly, and named regressions."""

import asyncio
import inspect
import json
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ddb.record.change import Kind, Outcome
from ddb.record.codec import encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import key_of
from ddb.wire.messages import ChangeResult, CoordinateChange, LogFull, Reply
from tests.sim.fences import fenced
from tests.sim.knobs import EVERYWHERE, Knobs, turned
from tests.sim.loop import SimLoop
from tests.sim.machines import Machine
from tests.sim.plan import Plan
from tests.sim.swarm import draw
from tests.sim.world import World

_ROOT = Path(__file__).parents[2]


def _simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, in a process that has yet to pin its hash seed."""
    return subprocess.run(
        [sys.executable, "-m", "tests.sim", *arguments],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"},
        timeout=110,
        check=False,
    )


def test_no_promise_is_broken() -> None:
    """Whatever the faults of a sample of seeds do, every checker is satisfied."""
    done = _simulate("--seeds", "60", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["violations"] == 0
    assert summary["acknowledged_writes"] > 300
    assert {"kill", "power", "wipe", "pause", "lost", "cut", "clock"} <= set(summary["faults"])


def test_a_seed_replays_step_for_step() -> None:
    """The same seed gives the same trace in every process."""
    for seed in ("2", "7"):
        first, again = _simulate("--seed", seed), _simulate("--seed", seed)
        assert "trace" in first.stdout
        assert first.stdout == again.stdout


def _in_world(
    nodes: int, work: Callable[[World], Awaitable[None]], knobs: Knobs | None = None
) -> None:
    """Let a formed cluster without gateways, clients and faults do something."""
    quiet = draw(0)
    quiet = Plan(
        seed=0,
        salt=0,
        nodes=nodes,
        gateways=0,
        records=1,
        skew=0.0,
        weather=(*quiet.weather[:2], 0.0, 0.0, 0.0),
        lateness=0.0,
        fsync=0.0004,
        knobs={EVERYWHERE: 8, **(knobs or {})},
        ops=(),
        faults=(),
    )

    async def main(world: World) -> None:
        for machine in world.machines.values():
            world.boot(machine)
        assert await world.until(world.sees_all, 10)
        await work(world)

    with turned(quiet.knobs), fenced():
        loop = SimLoop(random.Random(0))
        loop.run(main(World(quiet, loop)))


def test_a_hint_whose_promise_is_ahead_goes_home() -> None:
    """A standby that has promised a ballot newer than what both homes hold still drains."""

    async def work(world: World) -> None:
        key = key_of("u0")
        cell = world.ring.cell(key)
        nodes = {name: machine.node for name, machine in world.machines.items()}
        first, standby = nodes[cell.home], nodes[cell.standby]
        assert first is not None
        assert standby is not None
        dot = await first.ballots.issue(Dot(0, 0))
        for name in cell.nodes:
            node = nodes[name]
            assert node is not None
            node.replica.offer(key, encode(State((dot,), True, b'{"id":"u0"}')))
        standby.replica.promise(key, Dot(dot.counter + 1, dot.node))
        assert standby.replica.hints.total == 1
        assert await world.until(lambda: standby.replica.hints.total == 0, 5)
        assert first.replica.state(key).value == b'{"id":"u0"}'

    _in_world(3, work)


def test_a_refused_hint_is_settled_by_a_round() -> None:
    """A home that has promised something newer than a hint gets it by a round of the standby."""

    async def work(world: World) -> None:
        key = key_of("u0")
        cell = world.ring.cell(key)
        nodes = {name: machine.node for name, machine in world.machines.items()}
        first, other, standby = (nodes[name] for name in cell.nodes)
        assert first is not None
        assert other is not None
        assert standby is not None
        dot = await first.ballots.issue(Dot(0, 0))
        raw = encode(State((dot,), True, b'{"id":"u0"}'))
        first.replica.offer(key, raw)
        standby.replica.offer(key, raw)
        other.replica.promise(key, Dot(dot.counter + 1, dot.node))
        assert await world.until(lambda: standby.replica.hints.total == 0, 5)
        assert other.replica.state(key) == first.replica.state(key)
        await asyncio.sleep(0)

    _in_world(3, work)


def test_restarted_node_knows_what_has_expired() -> None:
    """A node learns from its peers how old a keyed operation is, after a restart too."""

    async def work(world: World) -> None:
        key = key_of("u0")
        home = world.machines[world.ring.cell(key).home]
        assert home.node is not None
        assert await _keyed(home, 0) == ChangeResult(Outcome.DONE, b'{"id":"u0"}')
        ballot = home.node.replica.newest(key)
        await asyncio.sleep(3)
        memories = [m.node.coordinator.memory for m in world.machines.values() if m.node]
        assert all(memory.expired(ballot) for memory in memories)
        world.die(home, power=False, lasts=0.01)
        await asyncio.sleep(0.02)
        assert not home.node.coordinator.memory.expired(ballot)
        assert await world.until(world.sees_all, 5)
        await asyncio.sleep(0.5)
        assert home.node.coordinator.memory.expired(ballot)

    _in_world(
        3,
        work,
        {
            "ddb.node.consensus.dedup_window.KEYED_WINDOW_S": 2.0,
            "ddb.node.consensus.dedup_window.ISSUE_GRAIN_S": 0.1,
        },
    )


@pytest.mark.parametrize("alive", [True, False])
def test_full_record_has_room_when_it_said(alive: bool) -> None:
    """A full record refuses for as long as it reports, at the other home too, then takes one."""

    async def work(world: World) -> None:
        home, partner = (world.machines[name] for name in world.ring.cell(key_of("u0")).homes)
        for number in range(2):
            assert type(await _keyed(home, number)) is ChangeResult
            await asyncio.sleep(0.2)
        if not alive:
            world.die(home, power=False, lasts=9.0)
            await asyncio.sleep(0.2)
        asked = home if alive else partner
        refused = await _keyed(asked, 2)
        assert isinstance(refused, LogFull)
        assert refused.retry_after_s in (2, 3)
        assert await _keyed(asked, 2) == refused
        assert type(await _keyed(asked, 1)) is ChangeResult
        await asyncio.sleep(refused.retry_after_s)
        assert type(await _keyed(asked, 2)) is ChangeResult

    turned = {
        "ddb.node.consensus.dedup_window.KEYED_WINDOW_S": 2.0,
        "ddb.node.consensus.dedup_window.ISSUE_GRAIN_S": 0.1,
        "ddb.node.consensus.dedup_window.MAX_KEYED_ENTRIES": 2,
        "ddb.record.keyed_log.SLICE_ENTRIES": 1,
    }
    _in_world(3, work, turned)


async def _keyed(machine: Machine, number: int) -> Reply:
    """A node's answer to a keyed change of the first record."""
    assert machine.node is not None
    name = (b"%d" % number).ljust(12, b"-")
    change = CoordinateChange(
        key_of("u0"), Kind.CREATE, b'{"id":"u0"}', (), name, b"abcd", True, b"g", 0
    )
    answer = machine.node.handle(change, machine.clock.now() + 1)
    return await answer if inspect.isawaitable(answer) else answer
