"""The nemesis: performs a plan's faults, each at its time."""

import asyncio

from tests.sim.deaths import Deaths
from tests.sim.hardware import Hardware
from tests.sim.partings import Partings
from tests.sim.plan import Fault
from tests.sim.strays import Strays
from tests.sim.targets import Acts, Targets
from tests.sim.world import World


class Nemesis:
    """All faults of a run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._targets = targets = Targets(world)
        self._acts: Acts = (
            Deaths(targets).acts
            | Partings(targets).acts
            | Hardware(targets).acts
            | Strays(targets).acts
        )

    async def run(self, faults: tuple[Fault, ...]) -> None:
        """Perform each fault at its time; return when the last one is over."""
        acts = []
        for fault in faults:
            await asyncio.sleep(max(0.0, fault.at - self._world.loop.now + self._world.began))
            acts.append(asyncio.ensure_future(self._act(fault)))
        for act in acts:
            await act

    async def _act(self, fault: Fault) -> None:
        world = self._world
        world.note(f"fault: {fault.kind.value} {self._targets.name(fault.one)} {fault.lasts:.3f} s")
        await self._acts[fault.kind](fault)
        world.note(f"over: {fault.kind.value} {self._targets.name(fault.one)}")

    def __repr__(self) -> str:
        return f"<Nemesis of {self._world!r}>"
