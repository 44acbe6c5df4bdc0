"""The simulated network: `Transport` with every promise of `ddb.wire.ports` and no kindness beyond.

Messages are delayed, lost, doubled and overtaken one by one; connections are made, believed in
and given up by the rules and limits of the real `Link`. A request that was sent may be acted upon
at any later time, unless its deadline has passed on the callee's clock. Two kindnesses, since on a
connection everything arrives once: so does a change asked for by a gateway, for gateways rest on
that (`CoordinateChange.low`); and no caller learns that a message was late while another copy was
in time.
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
    """What messages meet at the moment; probabilities per message, times in seconds."""

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
    """The answer of this process to a ping."""


class Attached(Protocol):
    """A process's transport, as the network knows it."""

    @property
    def name(self) -> str:
        """Of the host."""
        ...

    @property
    def process(self) -> Process:
        """The incarnation."""
        ...

    def lose(self, name: str, reason: str) -> None:
        """The connection to a peer is gone."""

    def bereft(self, name: str, incarnation: int) -> None:
        """A peer's process has ended."""

    def noticed(self, name: str, incarnation: int, notice: DiskNotice) -> None:
        """A peer reports the state of its disk."""


class SimNetwork:
    """All hosts, what lies between them, and what has been counted."""

    def __init__(self, loop: SimLoop, rng: random.Random, *, datagrams: bool) -> None:
        """`datagrams`: no connections, so that what was sent may reach a later incarnation."""
        self.loop = loop
        self.rng = rng
        self.datagrams = datagrams
        self.weather = Weather()
        self.hosts: dict[str, Host] = {}
        self.cut: Counter[tuple[str, str]] = Counter()
        self.clogged: Counter[tuple[str, str]] = Counter()
        self.longer: dict[tuple[str, str], float] = {}
        """Seconds that messages take beyond the weather, by way."""
        self.fired: Counter[str] = Counter()
        self.watch: list[Callable[[str, str, Request], None]] = []
        self.failures: list[str] = []
        self.transports: dict[str, Attached] = {}

    def flows(self, source: str, target: str) -> bool:
        """Whether messages pass at all in that direction."""
        return not self.cut.get((source, target))

    def carry(
        self,
        source: str,
        target: str,
        process: Process,
        arrive: Callable[..., object],
        *args: object,
    ) -> None:
        """Deliver to a process, as the weather has it."""
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
        """Seconds that something takes on a way, as the weather has it."""
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
        """Cut the connections between two hosts, both ways; they may be made again at once."""
        for source, target in ((one, other), (other, one)):
            host = self.hosts.get(source)
            if host is not None and host.process.alive:
                transport = self.transports.get(source)
                if transport is not None:
                    transport.lose(target, "connection reset")

    def died(self, name: str) -> None:
        """A process has ended: its machine resets its connections, where it can be reached."""
        number = self.hosts[name].process.number
        if self.datagrams:
            return
        for transport in self.transports.values():
            if transport.name != name and self.flows(name, transport.name):
                self.carry(name, transport.name, transport.process, transport.bereft, name, number)

    def announce(self, name: str, notice: DiskNotice) -> None:
        """Carry a notice from a process to every other one that is connected to it."""
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


def hello_of(name: str, ring: bytes, counter: int) -> Hello:
    """How a process introduces itself."""
    return Hello(PROTOCOL, ring, name, counter)
