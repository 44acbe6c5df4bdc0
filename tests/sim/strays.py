"""Faults by processes of another cluster, which reach a node by a wrong address."""

import asyncio
from enum import Enum

from ddb.node.node import Node
from ddb.node.storage.store import StoreFailed
from ddb.wire.messages import PROTOCOL, Boot, Hello, Refusal, Unwelcome, Welcome
from tests.sim.machines import Machine
from tests.sim.plan import Fault, FaultKind
from tests.sim.targets import Acts, Targets

_ANOTHER_CLUSTER = b"stranger"
_BITS = 62


class Kind(Enum):
    """The ways in which a process of another cluster meets a node."""

    WRONG_CALLEE = 0
    """It calls the node, and expects another one."""
    WRONG_CLUSTER = 1
    """It calls the node in the name of a peer, and has joined another cluster."""
    SECOND_DISK = 2
    """It calls the node in the name of a peer, and has a blank disk at another address."""
    SILENT_DISK = 3
    """It answers at the address of a peer, with a blank disk, and does not call the node."""
    REFUSES = 4
    """It answers at the address of a peer, and remembers a later disk of the node's name."""


class Strays:
    """A process with the name of a peer and another disk meets a node.

    The node must not take that disk for the peer's new one, or it refuses the peer from then on.
    """

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._world = targets.world
        self.acts: Acts = {FaultKind.STRAY: self._stray}

    async def _stray(self, fault: Fault) -> None:
        world, machine = self._world, self._targets.machine(fault.one)
        node, process = machine.node, machine.process
        if node is None or process is None or not machine.up or not node.bootstrap.ready:
            return
        kind = Kind(min(int(fault.amount * len(Kind)), len(Kind) - 1))
        peer, another = world.rng.sample([name for name in world.names if name != machine.name], 2)
        boot = Boot(world.rng.getrandbits(_BITS), 1, (world.rng.getrandbits(_BITS),), 0)
        if kind is not Kind.REFUSES and not node.admission.peers.replaces(peer, boot):
            return  # The node has never met this peer, so any disk may be the peer's.
        self._targets.fired(fault)
        if kind in (Kind.SILENT_DISK, Kind.REFUSES):
            world.loop.soon_in(process, self._answer, machine, node, kind, peer, boot)
            return
        callee = another if kind is Kind.WRONG_CALLEE else machine.name
        cluster = _ANOTHER_CLUSTER if kind is Kind.WRONG_CLUSTER else b""
        hello = Hello(PROTOCOL, world.ring.digest, peer, 0, boot, callee, cluster)
        greeted = world.loop.spawn(process, node.admission.greet(hello))
        refusal = Refusal.UNPROVEN_DISK if kind is Kind.SECOND_DISK else Refusal.MISMATCH
        greeted.add_done_callback(lambda done: self._check_reply(machine, hello, refusal, done))

    def _check_reply(
        self,
        machine: Machine,
        hello: Hello,
        refusal: Refusal,
        greeted: asyncio.Task[Welcome | Unwelcome],
    ) -> None:
        if greeted.cancelled() or isinstance(greeted.exception(), StoreFailed):
            return
        reply = greeted.result()
        if not isinstance(reply, Unwelcome) or reply.refusal is not refusal:
            self._world.violate("stray", f"{machine.name} answered {hello} by {reply}")

    def _answer(self, machine: Machine, node: Node, kind: Kind, peer: str, boot: Boot) -> None:
        """Answer the node's Hello, in the node's process, and check what it makes of that."""
        if kind is Kind.SILENT_DISK:
            if not node.admission.check_answer(peer, Welcome(peer, 0, boot)):
                self._world.violate("stray", f"{machine.name} took the disk {boot} for {peer}'s")
            return
        refused = node.confirmation.refused.is_set()
        cluster = self._world.rng.choice((b"", _ANOTHER_CLUSTER))
        answer = Unwelcome("it is stray", Refusal.OUTDATED_DISK, boot, cluster)
        node.admission.check_answer(peer, answer)
        if node.confirmation.refused.is_set() and not refused:
            self._world.violate("stray", f"{machine.name} gave up its disk for {answer}")

    def __repr__(self) -> str:
        return f"<Strays in {self._world!r}>"
