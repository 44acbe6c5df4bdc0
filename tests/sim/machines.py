"""What runs in a world: nodes' machines, and gateways; how an observer sees their connections."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from ddb.gateway.routing.router import Router
from ddb.node.node import Node
from ddb.node.replica.damage import Range
from ddb.wire.messages import Reply, Request
from ddb.wire.ports import Condition, Transport
from tests.sim.clock import SimClock
from tests.sim.disk import Content, SimDisk, SimStore
from tests.sim.process import Process


@dataclass(slots=True)
class Machine:
    """A node's machine: the disk and clock stay, the process comes and goes."""

    name: str
    disk: SimDisk
    clock: SimClock
    process: Process | None = None
    node: Node | None = None
    store: SimStore | None = None
    image: Content | None = None
    """What its disk once held."""
    restored: int = 0
    """The node id of an old image that was put back: under that id it lacks its share."""
    damage: list[Range] = field(default_factory=list)
    """The stretches that have rotted, as far as the keys beside them, until they are rebuilt."""

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
    """A process's transport, as an observer sees it."""

    def all_up(self, names: tuple[str, ...] | None = None) -> bool:
        """Whether all peers (of those named) are believed up."""
        ...


class Late:
    """The transport of a node whose links are made once it listens."""

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
    """The gateway's process died, or was not there. `begun`: it may have seen the request."""

    def __init__(self, begun: bool) -> None:
        super().__init__("the gateway is gone")
        self.begun = begun
