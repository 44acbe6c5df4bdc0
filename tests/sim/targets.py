"""Whom the faults of a plan mean, and when they are over."""

from collections.abc import Callable, Coroutine
from typing import Any

from ddb.ring.ring import CELL, key_of
from tests.sim.clients import record_id
from tests.sim.machines import Gateway, Machine
from tests.sim.observed import Trouble
from tests.sim.plan import Fault, FaultKind
from tests.sim.world import World

REACHABLE_AFTER_S = 0.1
"""Seconds after everybody believes in a node again until it counts as reachable."""

Acts = dict[FaultKind, Callable[[Fault], Coroutine[Any, Any, None]]]


class Targets:
    """Names of a plan's nodes, and the troubles that faults are."""

    def __init__(self, world: World) -> None:
        self.world = world

    def fired(self, fault: Fault) -> None:
        """Count a fault that does happen."""
        self.world.fired[fault.kind.value] += 1

    def name(self, number: int) -> str:
        """The node that a fault means."""
        world = self.world
        if world.plan.by_role and number < CELL:
            return world.ring.cell(key_of(record_id(0))).nodes[number]
        return f"db-{number}"

    def machine(self, number: int) -> Machine:
        """The machine of the node that a fault means."""
        return self.world.machines[self.name(number)]

    def gateway(self, number: int) -> Gateway:
        """The gateway that a fault means."""
        return self.world.gateways[number % len(self.world.gateways)]

    def end_trouble(self, trouble: Trouble) -> None:
        """Close the trouble once the nodes in it are believed in again."""
        self.world.loop.spawn(self.world.loop.root, self._end_once_reachable(trouble))

    async def _end_once_reachable(self, trouble: Trouble) -> None:
        world = self.world
        await world.until(lambda: all(map(world.sees, trouble.nodes or world.names)))
        trouble.end = world.loop.now + REACHABLE_AFTER_S

    def __repr__(self) -> str:
        return f"<Targets in {self.world!r}>"
