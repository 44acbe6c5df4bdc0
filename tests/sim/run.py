"""One run of a plan: a safety phase, a liveness phase, and the report."""

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
from ddb.ring.ring import key_of
from tests.sim import checks, convergence, knobs
from tests.sim.clients import Clients, record_id
from tests.sim.fences import fenced
from tests.sim.history import Ended
from tests.sim.knobs import turned
from tests.sim.loop import Livelock, SimLoop
from tests.sim.nemesis import Nemesis
from tests.sim.observed import ended
from tests.sim.plan import Action, Op, Plan
from tests.sim.world import World

FORMATION_TIMEOUT_S = 10.0
"""Virtual seconds for blank nodes to form a cluster."""
RECOVERY_TIMEOUT_S = 15.0
"""Virtual seconds from the last fault until each node is ready and each peer believes it up."""
CONVERGENCE_TIMEOUT_S = 10.0
"""Virtual seconds from then until no hints remain and the homes are equal.

Too low fails runs in which repair works; too high hides a repair that has become slow.
"""
_SAFETY_TIMEOUT_S = 300.0
"""Virtual seconds for all operations and faults; only a hang takes longer."""
_SURVEY_INTERVAL_S = 0.1
"""Most virtual seconds between two checks of where copies are; too high misses a brief copy."""
_SEEDS_PER_FULL_TIMEOUTS = 25
"""One seed in so many keeps the plan's timeouts to the end, so that operations grow old.

Too low and half of the time goes into attempts that expire. Plans `by_role` always keep them.
"""
_SEEDS_PER_COLLECTION = 50
"""Seeds between two full garbage collections; too high fills the memory, too low costs CPU."""
_BLOCKED_S = 2.0
"""Virtual seconds after which a cluster that waits for an operator counts as doing so for good."""
_LAST_DELAY_S = 0.3
"""Virtual seconds until messages have arrived that faults delayed."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one run."""

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
    """Run a plan. The same plan gives the same report."""
    with turned(plan.knobs), fenced():
        report = _carried_out(plan)
        with quiet_destructors():
            # The loop keeps objects of killed processes until here.
            gc.collect(2 if plan.seed % _SEEDS_PER_COLLECTION == 0 else 0)
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
    if not plan.early and not await world.until(world.sees_all, FORMATION_TIMEOUT_S):
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
    if not plan.by_role and plan.salt % _SEEDS_PER_FULL_TIMEOUTS:
        due = max(sum(op.gap for op in ops) for ops in by_client.values()) if by_client else 0.0
        world.loop.spawn(world.loop.root, _overtime(world, havoc, due))
    await asyncio.wait((*work, havoc), timeout=_SAFETY_TIMEOUT_S)
    for task in (*work, havoc):
        if not task.done():
            world.violate("safety phase", f"not over after {_SAFETY_TIMEOUT_S} s")
            return
        if (error := task.exception()) is not None:
            stack = "".join(traceback.format_exception(error))
            world.violate("crash", f"a client or fault ended with {error!r}\n{stack}")
            return
    await _liveness(world, clients)


async def _overtime(world: World, havoc: asyncio.Task[None], due: float) -> None:
    """Set timeouts to their shipped values once faults and operations should be over.

    Some plans have timeouts shorter than a message takes. An operation then makes dozens of
    attempts until its deadline. These would take half of all CPU time.

    Args:
        due: virtual seconds from the start to the last operation.
    """
    await asyncio.wait((havoc,))
    await asyncio.sleep(max(0.0, world.began + due - world.loop.now))
    knobs.ship(world.plan.knobs)
    world.note("time-outs are as they ship")


async def _survey(world: World) -> None:
    """Check at random moments where copies are."""
    wrong = None
    while wrong is None:
        await asyncio.sleep(_SURVEY_INTERVAL_S * world.rng.random())
        wrong = convergence.space(world)
    world.violate("space", wrong)


async def _liveness(world: World, clients: Clients) -> None:
    """Check that the cluster recovers and converges within the bounds, once faults are over."""
    world.network.weather = world.mild
    knobs.ship(world.plan.knobs)
    world.note("faults are over")
    recovered = await world.until(lambda: world.sees_all() or world.blocked(), RECOVERY_TIMEOUT_S)
    if world.blocked():
        # Nodes other than the two may still be joining.
        await asyncio.sleep(_BLOCKED_S)
        if world.blocked():
            world.fired["waits for an operator"] += 1
            await _check_blocked(world, clients)
            return
        recovered = await world.until(world.sees_all, RECOVERY_TIMEOUT_S)
    if not recovered:
        states = [machine.node for machine in world.machines.values()]
        world.violate("liveness", f"not all ready within {RECOVERY_TIMEOUT_S} s: {states}")
        return
    await asyncio.sleep(_LAST_DELAY_S)
    if not await world.until(lambda: _drained(world), CONVERGENCE_TIMEOUT_S):
        hints = [m.node.replica.hints for m in world.machines.values() if m.node is not None]
        world.violate(
            "convergence", f"without reads, hints remain after {CONVERGENCE_TIMEOUT_S} s: {hints}"
        )
        return
    world.trouble().end = world.loop.now
    for record in range(world.plan.records):
        for gateway in range(world.plan.gateways):
            await clients.act(99, Op(99, 0.0, gateway, Action.GET, record))
    if not await world.until(lambda: convergence.at_rest(world) is None, CONVERGENCE_TIMEOUT_S):
        world.violate(
            "convergence", f"after {CONVERGENCE_TIMEOUT_S} s: {convergence.at_rest(world)}"
        )
        return
    await convergence.whole_reads(world, clients)


async def _check_blocked(world: World, clients: Clients) -> None:
    """Check that only records in the damaged ranges wait for the operator."""
    for record in range(world.plan.records):
        key = key_of(record_id(record))
        damaged = any(
            each.covers(key) for machine in world.machines.values() for each in machine.damage
        )
        for gateway in range(world.plan.gateways):
            call = await clients.act(99, Op(99, 0.0, gateway, Action.GET, record))
            if not damaged and not ended(call, Ended.OK, Ended.ABSENT):
                world.violate("blocked", f"{call!r}, although its copies are readable")


def _drained(world: World) -> bool:
    """Whether standbys have handed off all hints, which must not take a read."""
    return not any(
        machine.node is None or machine.node.replica.hints.total
        for machine in world.machines.values()
    )


@contextmanager
def quiet_destructors() -> Iterator[None]:
    """Silence the destructors of killed processes' coroutines.

    Some of these coroutines never began. The loop keeps all of them until the run has ended. So a
    warning during a run still shows a mistake.
    """
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            yield
    finally:
        sys.unraisablehook = hook
