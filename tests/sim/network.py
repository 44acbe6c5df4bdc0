"""The simulated network: it keeps the promises of `ddb.wire.ports`, and no more.

It delays, loses, duplicates and reorders single messages. Connections follow the rules and limits
of the real `Link`. A callee may act on a request at any later time before the deadline on its own
clock.

On a real connection each message arrives once. So the network never duplicates a gateway's change:
gateways rely on that (`CoordinateChange.low`). Nor does a caller learn that one copy of a message
was late while another copy was in time.
"""

import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from ddb.wire.messages import (
    PROTOCOL,
    CoordinateChange,
    DiskNotice,
    Hello,
    Pong,
    Request,
    Unwelcome,
    Welcome,
)
from ddb.wire.ports import Handler
from tests.sim.clock import SimClock
from tests.sim.loop import SimLoop
from tests.sim.process import Process

Greet = Callable[[Hello], Coroutine[Any, Any, Welcome | Unwelcome]]
_encode = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class Weather:
    """The current delays and losses: probabilities per message, times in seconds."""

    delay: float = 0.0003
    jitter: float = 0.0005
    loss: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    lateness: float = 0.0


@dataclass(slots=True)
class Host:
    """A process as the network sees it."""

    process: Process
    clock: SimClock
    handler: Handler | None
    greet: Greet | None
    pong: Callable[[], Pong]
    """Returns the answer of this process to a ping."""


class Attached(Protocol):
    """A process's transport, as the network calls it."""

    @property
    def name(self) -> str:
        """The name of the host."""
        ...

    @property
    def process(self) -> Process:
        """The current process of the host."""
        ...

    def lose(self, name: str, reason: str) -> None:
        """Drop the connection to a peer."""

    def bereft(self, name: str, incarnation: int) -> None:
        """Take note that a peer's process has ended."""

    def called_by(self, name: str, reply: Welcome | Unwelcome) -> None:
        """Take note that this process has given a peer's Hello that reply."""

    def noticed(self, name: str, incarnation: int, notice: DiskNotice) -> None:
        """Take a peer's notice about its disk."""


class SimNetwork:
    """All hosts, the paths between them, and counters of faults."""

    def __init__(self, loop: SimLoop, rng: random.Random, *, datagrams: bool) -> None:
        """Make a network without hosts.

        Args:
            datagrams: True has no connections, so a message may reach a later incarnation. False
                delivers only within a connection.
        """
        self.loop = loop
        self.rng = rng
        self.datagrams = datagrams
        self.weather = Weather()
        self.hosts: dict[str, Host] = {}
        self.cut: Counter[tuple[str, str]] = Counter()
        self.clogged: Counter[tuple[str, str]] = Counter()
        self.longer: dict[tuple[str, str], float] = {}
        """Extra seconds per message, by source and target."""
        self.fired: Counter[str] = Counter()
        self.watch: list[Callable[[str, str, Request], None]] = []
        self.failures: list[str] = []
        self.transports: dict[str, Attached] = {}

    def flows(self, source: str, target: str) -> bool:
        """Return whether the path from `source` to `target` is not cut."""
        return not self.cut.get((source, target))

    def carry(
        self,
        source: str,
        target: str,
        process: Process,
        arrive: Callable[..., object],
        *args: object,
    ) -> None:
        """Call `arrive` in a process after a delay, or twice, or never, as the weather has it."""
        weather, rng, way = self.weather, self.rng, (source, target)
        if self.cut.get(way):
            self.fired["cut"] += 1
            return
        if weather.loss and rng.random() < weather.loss:
            self.fired["lost"] += 1
            return
        copies = 1
        if (
            weather.doubled
            and not isinstance(args[-1], CoordinateChange)
            and rng.random() < weather.doubled
        ):
            self.fired["doubled"] += 1
            copies = 2
        for _ in range(copies):
            self.loop.later_in(process, self.takes(way, rng), arrive, *args)

    def takes(self, way: tuple[str, str], rng: random.Random) -> float:
        """Draw the seconds that a message takes on a path."""
        weather = self.weather
        delay = weather.delay + rng.random() * weather.jitter
        if weather.late and rng.random() < weather.late:
            self.fired["late"] += 1
            delay += rng.random() * weather.lateness
        if self.clogged.get(way):
            self.fired["clogged"] += 1
            delay += 0.05 + rng.random() * 0.4
        if way in self.longer:
            self.fired["slowed"] += 1
            delay += self.longer[way] * (0.8 + 0.4 * rng.random())
        return delay

    def reset(self, one: str, other: str) -> None:
        """Break the connections between two hosts, both ways; they may connect again at once."""
        for source, target in ((one, other), (other, one)):
            host = self.hosts.get(source)
            if host is not None and host.process.alive:
                transport = self.transports.get(source)
                if transport is not None:
                    transport.lose(target, "connection reset")

    def died(self, name: str) -> None:
        """Reset the connections of a process that has ended, on all paths that are not cut."""
        number = self.hosts[name].process.number
        if self.datagrams:
            return
        for transport in self.transports.values():
            if transport.name != name and self.flows(name, transport.name):
                self.carry(name, transport.name, transport.process, transport.bereft, name, number)

    def announce(self, name: str, notice: DiskNotice) -> None:
        """Carry a notice from a process to all others that are connected to it."""
        number = self.hosts[name].process.number
        for transport in self.transports.values():
            if transport.name != name:
                arrive, to = transport.noticed, transport.process
                self.carry(name, transport.name, to, arrive, name, number, notice)

    def attach(self, transport: Attached, host: Host) -> None:
        """Put a process on the network, in place of an earlier incarnation."""
        self.hosts[transport.name] = host
        self.transports[transport.name] = transport

    def __repr__(self) -> str:
        return f"<SimNetwork {len(self.hosts)} hosts, {sum(self.cut.values())} cuts>"


def hello_of(name: str, ring: bytes, callee: str) -> Hello:
    """Return the Hello of a gateway for a node."""
    return Hello(PROTOCOL, ring, name, 0, callee=callee)
