"""The whole cluster in simulation: a sample of seeds, exact replay, and named regressions."""

import asyncio
import gc
import inspect
import json
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest

from ddb.node.storage.store import Family as NodeFamily
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
from tests.sim.run import quiet_destructors
from tests.sim.swarm import Family, draw, family_of
from tests.sim.world import World

_ROOT = Path(__file__).parents[2]


def _simulate(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that has yet to pin its hash seed."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    return subprocess.run(
        [sys.executable, "-m", "tests.sim", *arguments],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        env=inherited | (environment or {}),
        timeout=110,
        check=False,
    )


def _replays(seeds: Iterable[int], environment: dict[str, str] | None = None) -> dict[int, str]:
    """Return the printed trace of each seed; one process runs them all, in the given order."""
    done = _simulate("--seed", *map(str, seeds), environment=environment)
    printed, lines = dict[int, str](), list[str]()
    for line in done.stdout.splitlines():
        lines.append(line)
        if line.startswith("seed "):
            printed[int(line.split()[1].rstrip(":"))] = "\n".join(lines)
            lines.clear()
    assert printed, done.stdout + done.stderr
    return printed


def test_no_promise_is_broken() -> None:
    """All checkers accept a sample of seeds with all their faults."""
    done = _simulate("--seeds", "20", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["violations"] == 0
    assert summary["acknowledged_writes"] > 100
    assert {"kill", "power", "wipe", "pause", "lost", "cut", "clock"} <= set(summary["faults"])


def test_each_family_replays_step_for_step() -> None:
    """A seed of each family gives the same trace in two processes with different memory layouts."""
    seeds = dict[tuple[Family, bool], int]()
    for seed in range(400):
        seeds.setdefault((family_of(seed), draw(seed).wired), seed)
    assert {family for family, _ in seeds} == set(Family)
    # A set of objects iterates by address. The other allocator and order move the addresses.
    first = _replays(seeds.values())
    again = _replays(reversed(seeds.values()), {"PYTHONMALLOC": "malloc"})
    assert [plan for plan, seed in seeds.items() if first[seed] != again[seed]] == []


def _in_world(
    nodes: int, work: Callable[[World], Awaitable[None]], knobs: Knobs | None = None
) -> None:
    """Run `work` in a formed cluster without gateways, clients and faults."""
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

    def run_world() -> None:
        loop = SimLoop(random.Random(0))
        loop.run(main(World(quiet, loop)))

    with turned(quiet.knobs), fenced():
        run_world()
        with quiet_destructors():
            # Later, a coroutine's destructor would find another loop, or make one.
            gc.collect()


def test_standby_hands_off_a_hint_below_its_promise() -> None:
    """A standby that has promised a ballot newer than both homes' states still hands off."""

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
        assert first.replica.copies.state(key).value == b'{"id":"u0"}'

    _in_world(3, work)


def test_a_standby_hands_off_durable_hints_only() -> None:
    """No home gets a hint that a crash of the standby can still take back."""

    async def work(world: World) -> None:
        key = key_of("u0")
        cell = world.ring.cell(key)
        home, standby = (world.machines[name] for name in (cell.home, cell.standby))
        assert home.node is not None
        assert standby.node is not None
        dot = await home.node.ballots.issue(Dot(0, 0))
        standby.disk.health.fsync = 0.5
        standby.node.replica.offer(key, encode(State((dot,), True, b'{"id":"u0"}')))
        copies = home.node.replica.copies
        assert not await world.until(lambda: copies.newest(key) == dot, 0.4)
        assert await world.until(lambda: copies.newest(key) == dot, 5)
        assert key in standby.disk.durable(NodeFamily.HINTS)

    _in_world(3, work)


def test_a_round_settles_a_refused_hint() -> None:
    """A home that has promised a ballot newer than a hint gets it by a round of the standby."""

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
        assert other.replica.copies.state(key) == first.replica.copies.state(key)
        await asyncio.sleep(0)

    _in_world(3, work)


def test_restarted_node_learns_the_age_of_keyed_operations() -> None:
    """After a restart a node learns from its peers which keyed operations have expired."""

    async def work(world: World) -> None:
        key = key_of("u0")
        home = world.machines[world.ring.cell(key).home]
        assert home.node is not None
        assert await _keyed(home, 0) == ChangeResult(Outcome.DONE, b'{"id":"u0"}')
        ballot = home.node.replica.copies.newest(key)
        await asyncio.sleep(3)
        memories = [m.node.coordinator.dedup_window for m in world.machines.values() if m.node]
        assert all(memory.expired(ballot) for memory in memories)
        world.die(home, power=False, lasts=0.01)
        await asyncio.sleep(0.02)
        assert not home.node.coordinator.dedup_window.expired(ballot)
        assert await world.until(world.sees_all, 5)
        await asyncio.sleep(0.5)
        assert home.node.coordinator.dedup_window.expired(ballot)

    _in_world(
        3,
        work,
        {
            "ddb.node.consensus.dedup_window.KEYED_WINDOW_S": 2.0,
            "ddb.node.consensus.dedup_window.ISSUE_GRAIN_S": 0.1,
        },
    )


@pytest.mark.parametrize("alive", [True, False])
def test_full_record_takes_a_key_after_retry_after(alive: bool) -> None:
    """A full record refuses new keys at both homes until its Retry-After has passed."""

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
    """Return a node's answer to a keyed change of the first record."""
    assert machine.node is not None
    name = (b"%d" % number).ljust(12, b"-")
    change = CoordinateChange(
        key_of("u0"), Kind.CREATE, b'{"id":"u0"}', (), name, b"abcd", True, b"g", 0
    )
    answer = machine.node.handle(change, machine.clock.now() + 1)
    return await answer if inspect.isawaitable(answer) else answer
