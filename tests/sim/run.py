"""One run: a plan carried out, a safety phase and then a liveness phase, and its report."""

import asyncio
import gc
import random
import sys
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ddb.node.process  # noqa: F401  (so that knobs reach every module)
from tests.sim import checks, convergence, knobs
from tests.sim.clients import Clients
from tests.sim.fences import fenced
from tests.sim.knobs import turned
from tests.sim.loop import Livelock, SimLoop
from tests.sim.nemesis import Nemesis
from tests.sim.plan import Action, Op, Plan
from tests.sim.world import World

FORMATION = 10.0
"""Virtual seconds within which blank nodes form a cluster."""
RECOVERY = 15.0
"""Virtual seconds, after the last fault, within which every node is ready and believed up."""
SETTLING = 10.0
"""Virtual seconds after that within which hints are 0 and homes equal."""
_SAFETY = 300.0
_SURVEY = 0.1
_ENDURED = 25
"""One seed in so many keeps its time-outs to the end, so that operations grow as old as they can;
so does every plan that follows a course of events."""
_TIDY = 50
"""Seeds between two collections of all garbage."""
_CALM = 0.3
"""Seconds until nothing is under way any more that was delayed by a fault."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one run."""

    seed: int
    trace: str
    violations: tuple[tuple[str, str], ...]
    operations: int
    acknowledged: int
    fired: Counter[str]
    outcomes: Counter[str]
    steps: int
    seconds: float
    notes: tuple[tuple[float, str], ...]


def run(plan: Plan) -> Report:
    """Carry out a plan. Deterministic: the same plan gives the same report."""
    with turned(plan.knobs), fenced():
        report = _carried_out(plan)
        with _quiet():
            # Some of it is in use until here; all that has gathered goes once in a while.
            gc.collect(2 if plan.seed % _TIDY == 0 else 0)
    return report


def _carried_out(plan: Plan) -> Report:
    loop = SimLoop(random.Random(f"loop {plan.salt}"))
    world = World(plan, loop)
    try:
        loop.run(_main(world))
    except Livelock as livelock:
        world.violate("livelock", str(livelock))
    checks.check_all(world)
    return _report(world)


def _report(world: World) -> Report:
    observed = world.observed
    fired = world.fired + world.network.fired
    fired["torn batch"] += sum(machine.disk.torn for machine in world.machines.values())
    writes = sum(
        count
        for what, count in observed.outcomes.items()
        if what in ("post ok", "put ok", "delete ok")
    )
    return Report(
        seed=world.plan.seed,
        trace=world.loop.trace,
        violations=tuple(observed.violations),
        operations=sum(observed.outcomes.values()),
        acknowledged=writes,
        fired=fired,
        outcomes=observed.outcomes,
        steps=world.loop.steps,
        seconds=world.loop.now,
        notes=tuple(observed.notes),
    )


async def _main(world: World) -> None:
    plan = world.plan
    for machine in world.machines.values():
        world.boot(machine)
    for index in range(plan.gateways):
        world.open_gateway(index)
    if not plan.early and not await world.until(world.sees_all, FORMATION):
        world.violate("formation", f"not formed: {[m.node for m in world.machines.values()]}")
        return
    world.began = world.loop.now
    world.network.weather = world.rough
    clients, nemesis = Clients(world), Nemesis(world)
    by_client: defaultdict[int, list[Op]] = defaultdict(list)
    for op in plan.ops:
        by_client[op.client].append(op)
    work = [
        world.loop.spawn(world.loop.process(f"client-{client}"), clients.run(client, ops))
        for client, ops in by_client.items()
    ]
    havoc = asyncio.ensure_future(nemesis.run(plan.faults))
    world.loop.spawn(world.loop.root, _survey(world))
    if not plan.by_role and plan.salt % _ENDURED:
        due = max(sum(op.gap for op in ops) for ops in by_client.values()) if by_client else 0.0
        world.loop.spawn(world.loop.root, _overtime(world, havoc, due))
    await asyncio.wait((*work, havoc), timeout=_SAFETY)
    for task in (*work, havoc):
        if not task.done():
            world.violate("safety phase", f"not over after {_SAFETY} s")
            return
        if (error := task.exception()) is not None:
            stack = "".join(traceback.format_exception(error))
            world.violate("crash", f"what was asked of a gateway ended with {error!r}\n{stack}")
            return
    await _liveness(world, clients)


async def _overtime(world: World, havoc: asyncio.Task[None], due: float) -> None:
    """Once faults are over and operations are past `due`, let time-outs be as they ship.

    Where time-outs are shorter than what a message takes, an operation goes on for all of its
    time, in dozens of attempts, and half of a run would be nothing else.
    """
    await asyncio.wait((havoc,))
    await asyncio.sleep(max(0.0, world.began + due - world.loop.now))
    knobs.ship(world.plan.knobs)
    world.note("time-outs are as they ship")


async def _survey(world: World) -> None:
    """Look now and then at where copies are."""
    wrong = None
    while wrong is None:
        await asyncio.sleep(_SURVEY * world.rng.random())
        wrong = convergence.space(world)
    world.violate("space", wrong)


async def _liveness(world: World, clients: Clients) -> None:
    """Faults are over: what must become true does, within the bounds."""
    world.network.weather = world.mild
    knobs.ship(world.plan.knobs)
    world.note("faults are over")
    if not await world.until(world.sees_all, RECOVERY):
        states = [machine.node for machine in world.machines.values()]
        world.violate("liveness", f"not all ready within {RECOVERY} s: {states}")
        return
    await asyncio.sleep(_CALM)
    if not await world.until(lambda: _drained(world), SETTLING):
        hints = [m.node.replica.hints for m in world.machines.values() if m.node is not None]
        world.violate("convergence", f"nobody reads, and after {SETTLING} s hints wait: {hints}")
        return
    world.trouble().end = world.loop.now
    for record in range(world.plan.records):
        for gateway in range(world.plan.gateways):
            await clients.act(99, Op(99, 0.0, gateway, Action.GET, record))
    if not await world.until(lambda: convergence.at_rest(world) is None, SETTLING):
        world.violate("convergence", f"after {SETTLING} s: {convergence.at_rest(world)}")
        return
    await convergence.whole_reads(world, clients)


def _drained(world: World) -> bool:
    """Whether all hints went home, for which nobody has to read anything."""
    return not any(
        machine.node is None or machine.node.replica.hints.total
        for machine in world.machines.values()
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Coroutines of killed processes die unheard, some before their first step.

    The loop has kept them all until now, so what is heard of during a run is a mistake.
    """
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            yield
    finally:
        sys.unraisablehook = hook
