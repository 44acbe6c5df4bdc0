"""The machines of nodes, the gateways, and an observer's view of their connections."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from ddb.gateway.routing.router import Router
from ddb.node.node import Node
from ddb.node.replica.damage import Range
from ddb.wire.messages import Reply, Request
from ddb.wire.ports import Condition, Transport
from tests.sim.clock import SimClock
from tests.sim.disk import Content, SimDisk
from tests.sim.process import Process
from tests.sim.store import SimStore


@dataclass(slots=True)
class Machine:
    """A node's machine: its disk and clock outlive its processes."""

    name: str
    disk: SimDisk
    clock: SimClock
    process: Process | None = None
    node: Node | None = None
    store: SimStore | None = None
    image: Content | None = None
    """An earlier content of its disk, or None."""
    restored: int = 0
    """The node id of a restored image, or 0: a disk with that id lacks its share."""
    damage: list[Range] = field(default_factory=list)
    """The ranges of rotten rows, up to the adjacent keys, until the node has rebuilt them."""

    @property
    def up(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.alive


@dataclass(slots=True)
class Gateway:
    """A gateway's process."""

    name: str
    clock: SimClock
    process: Process
    router: Router
    waiting: dict[asyncio.Future[object], None] = field(default_factory=dict)


class View(Transport, Protocol):
    """A process's transport, with an observer's question."""

    def all_up(self, names: tuple[str, ...] | None = None) -> bool:
        """Return whether the process believes all peers up, or all of `names`."""
        ...


class Late:
    """The transport of a node that makes its links only once it listens."""

    real: View

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        return self.real.ask(to, request, deadline=deadline, timeout_s=timeout_s)

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        return self.real.condition(to)


class GatewayGone(Exception):
    """The gateway's process died or did not run.

    Args:
        begun: True if the gateway may have received the request, False if it surely did not.
    """

    def __init__(self, begun: bool) -> None:
        super().__init__("the gateway is gone")
        self.begun = begun
