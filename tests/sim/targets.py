"""The nodes and gateways that a plan's faults concern, and when a fault is over."""

from collections.abc import Callable, Coroutine
from typing import Any

from ddb.ring.ring import CELL, key_of
from tests.sim.clients import record_id
from tests.sim.machines import Gateway, Machine
from tests.sim.observed import Trouble
from tests.sim.plan import Fault, FaultKind
from tests.sim.world import World

REACHABLE_AFTER_S = 0.1
"""Virtual seconds from when all peers believe a node up until it counts as reachable.

Too low blames `available` for requests sent during the fault; too high hides late answers.
"""

Acts = dict[FaultKind, Callable[[Fault], Coroutine[Any, Any, None]]]


class Targets:
    """The targets of faults, and the spans of trouble that faults cause."""

    def __init__(self, world: World) -> None:
        self.world = world

    def fired(self, fault: Fault) -> None:
        """Count a fault that takes effect."""
        self.world.fired[fault.kind.value] += 1

    def name(self, number: int) -> str:
        """Return the name of the node that a fault concerns."""
        world = self.world
        if world.plan.by_role and number < CELL:
            return world.ring.cell(key_of(record_id(0))).nodes[number]
        return f"db-{number}"

    def machine(self, number: int) -> Machine:
        """Return the machine of the node that a fault concerns."""
        return self.world.machines[self.name(number)]

    def gateway(self, number: int) -> Gateway:
        """Return the gateway that a fault concerns."""
        return self.world.gateways[number % len(self.world.gateways)]

    def end_trouble(self, trouble: Trouble) -> None:
        """End the trouble once all peers believe its nodes up."""
        self.world.loop.spawn(self.world.loop.root, self._end_once_reachable(trouble))

    async def _end_once_reachable(self, trouble: Trouble) -> None:
        world = self.world
        await world.until(lambda: all(map(world.sees, trouble.nodes or world.names)))
        trouble.end = world.loop.now + REACHABLE_AFTER_S

    def __repr__(self) -> str:
        return f"<Targets in {self.world!r}>"
