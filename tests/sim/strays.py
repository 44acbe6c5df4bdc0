"""Faults by processes of another cluster, which reach a node by a wrong address."""

import asyncio

from ddb.node.storage.store import StoreFailed
from ddb.wire.messages import PROTOCOL, Boot, Hello, Unwelcome, Welcome
from ddb.wire.ports import Condition
from tests.sim.machines import Machine
from tests.sim.plan import Fault, FaultKind
from tests.sim.targets import Acts, Targets

_ANOTHER_CLUSTER = b"stranger"
_BITS = 62


class Strays:
    """A process with the name of a peer and another disk sends its Hello to a node.

    The node must refuse it. Otherwise it takes the disk for the peer's new one, and then refuses
    the peer.
    """

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._world = targets.world
        self.acts: Acts = {FaultKind.STRAY: self._stray}

    async def _stray(self, fault: Fault) -> None:
        machine = self._targets.machine(fault.one)
        hello = self._hello(machine, fault.amount)
        if machine.process is None or machine.node is None or hello is None:
            return
        self._targets.fired(fault)
        greeted = self._world.loop.spawn(machine.process, machine.node.admission.greet(hello))
        greeted.add_done_callback(lambda done: self._check(machine, hello, done))

    def _hello(self, machine: Machine, kind: float) -> Hello | None:
        """Return the Hello, or None where a node may take it for that of a peer's new disk."""
        world, node = self._world, machine.node
        if node is None or not machine.up:
            return None
        caller, wanted = world.rng.sample([name for name in world.names if name != machine.name], 2)
        boot = Boot(world.rng.getrandbits(_BITS), 1, (world.rng.getrandbits(_BITS),), 0)
        callee, cluster = machine.name, b""
        if kind < 1 / 3:
            callee = wanted
        elif kind < 2 / 3:
            if not node.bootstrap.ready:
                return None
            cluster = _ANOTHER_CLUSTER
        elif (
            not node.admission.peers.replaces(caller, boot)
            or world.views[machine.name].condition(caller) > Condition.SLOW
        ):
            return None
        return Hello(PROTOCOL, world.ring.digest, caller, 0, boot, callee, cluster)

    def _check(
        self, machine: Machine, hello: Hello, greeted: asyncio.Task[Welcome | Unwelcome]
    ) -> None:
        if greeted.cancelled() or isinstance(greeted.exception(), StoreFailed):
            return
        answer = greeted.result()
        if not isinstance(answer, Unwelcome) or answer.outdated:
            self._world.violate("stray", f"{machine.name} answered {hello} by {answer}")

    def __repr__(self) -> str:
        return f"<Strays in {self._world!r}>"
