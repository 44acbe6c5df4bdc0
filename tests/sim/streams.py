"""Simulated byte streams for the real links and listeners.

The bytes of one direction arrive in order, in pieces of any size, and late. While a path is cut, or
after a loss, they wait for their retransmission. A reset connection loses the bytes in flight, in
the middle of a frame too.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.sim.loop import SimLoop
from tests.sim.process import Process

if TYPE_CHECKING:
    from tests.sim.network import SimNetwork

_RETRANSMISSION_S = 0.2
"""Virtual seconds until lost bytes are sent again, as by TCP's smallest timeout."""
_FRAGMENTED = 0.1
"""Share of writes that arrive in two pieces."""

Factory = Callable[[], asyncio.Protocol]


@dataclass(slots=True)
class Server:
    """The result of `create_server`: the process that listens."""

    process: Process
    factory: Factory

    def close(self) -> None:
        """Do nothing: in the simulation a listener stops only with its process."""


class Wires:
    """All connections of a run."""

    def __init__(self, network: "SimNetwork", loop: SimLoop, rng: random.Random) -> None:
        """Let the loop connect and listen over these streams from now on."""
        self.network = network
        self.loop = loop
        self.rng = rng
        self._servers: dict[str, Server] = {}
        self._ends: list[End] = []
        loop.create_server = self.listen
        loop.create_connection = self.connect
        loop.getaddrinfo = self.resolve

    async def resolve(
        self, host: str, port: int | None, **_: object
    ) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        """As `getaddrinfo`: a host has the name of its process, and that is its address."""
        return [(0, 0, 0, "", (host, port or 0))]

    async def listen(self, factory: Factory, host: str, port: int) -> Server:
        """As `create_server`."""
        server = self._servers[host] = Server(self.loop.current, factory)
        return server

    async def connect(
        self, factory: Factory, host: str, port: int
    ) -> tuple["End", asyncio.Protocol]:
        """As `create_connection`; waits for ever if the path is cut.

        Raises:
            ConnectionRefusedError: no process listens at `host`.
        """
        network, near = self.network, self.loop.current
        there, back = network.flows(near.name, host), network.flows(host, near.name)
        await asyncio.sleep(2 * network.weather.delay + self.rng.random() * network.weather.jitter)
        server = self._servers.get(host)
        if not (there and back):
            await self.loop.create_future()
        if server is None or not server.process.alive:
            raise ConnectionRefusedError(f"no process listens at {host}")
        protocol = factory()
        end = End(self, near, server.process, protocol)
        far = End(self, server.process, near, None)
        end.peer, far.peer = far, end
        self._ends = [kept for kept in self._ends if not kept.closed]
        self._ends += [end, far]
        protocol.connection_made(end)
        self.loop.soon_in(server.process, far.accept, server.factory)
        return end, protocol

    def reset(self, one: str, other: str) -> None:
        """Break all connections between two hosts."""
        for end in self._ends:
            if not end.closed and {end.process.name, end.far.name} == {one, other}:
                end.broken(ConnectionResetError("reset"))

    def died(self, process: Process) -> None:
        """Reset the connections of a process that has ended, on all paths that are not cut."""
        for end in self._ends:
            if end.far is process and not end.closed:
                end.bereft()

    def __repr__(self) -> str:
        return f"<Wires {len(self._ends)} ends>"


class End(asyncio.Transport):
    """One end of a connection, in `process`; `far` is the other end's."""

    def __init__(
        self, wires: Wires, process: Process, far: Process, protocol: asyncio.Protocol | None
    ) -> None:
        super().__init__()
        self.process = process
        self.far = far
        self.closed = False
        self.peer: End | None = None
        self._wires = wires
        self._protocol = protocol
        self._arrives = 0.0
        self._unsent: list[bytes] = []
        self._early: list[bytes] = []

    def accept(self, factory: Factory) -> None:
        """Accept the connection, in the accepting process."""
        if self.closed:
            return
        self._protocol = factory()
        self._protocol.connection_made(self)
        early, self._early = self._early, []
        for data in early:
            self._protocol.data_received(data)

    # Called by asyncio's protocols.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As asyncio's."""
        if not self.closed:
            self._unsent.append(bytes(data))
            if len(self._unsent) == 1:
                self._send()

    def get_write_buffer_size(self) -> int:
        """As asyncio's."""
        return sum(map(len, self._unsent))

    def is_closing(self) -> bool:
        """As asyncio's."""
        return self.closed

    def close(self) -> None:
        """As asyncio's: bytes already sent still arrive."""
        self.abort()

    def abort(self) -> None:
        """As asyncio's."""
        if not self.closed:
            self._end(None)
            if self.peer is not None and not self.peer.closed:
                self.peer.bereft()

    # Called by the network.

    def bereft(self) -> None:
        """End this side after the other end has gone, if the path is not cut."""
        wires = self._wires
        if wires.network.flows(self.far.name, self.process.name):
            delay = wires.network.weather.delay + wires.rng.random() * wires.network.weather.jitter
            wires.loop.later_in(self.process, delay, self._end, None)

    def broken(self, error: Exception) -> None:
        """Reset the connection at both ends."""
        for end in (self, self.peer):
            if end is not None and not end.closed:
                end._wires.loop.soon_in(end.process, end._end, error)

    def _end(self, error: Exception | None) -> None:
        if self.closed:
            return
        self.closed = True
        self._unsent.clear()
        if self._protocol is not None:
            self._wires.loop.soon_in(self.process, self._protocol.connection_lost, error)

    def _send(self) -> None:
        """Send the unsent bytes; retransmit later those that the network loses."""
        wires, network = self._wires, self._wires.network
        if self.closed or not self._unsent:
            return
        weather, rng, loop = network.weather, wires.rng, wires.loop
        if not network.flows(self.process.name, self.far.name):
            network.fired["cut"] += 1
            loop.later_in(self.process, _RETRANSMISSION_S, self._send)
            return
        if weather.loss and rng.random() < weather.loss:
            network.fired["lost"] += 1
            loop.later_in(self.process, _RETRANSMISSION_S * rng.random(), self._send)
            return
        if not self.far.alive:
            self._end(ConnectionResetError("the peer has ended"))
            return
        unsent = self._unsent
        data = unsent[0] if len(unsent) == 1 else b"".join(unsent)
        unsent.clear()
        loop.record(data)
        pieces: tuple[bytes, ...] = (data,)
        if rng.random() < _FRAGMENTED and len(data) > 1:
            at = rng.randrange(1, len(data))
            pieces = (data[:at], data[at:])
        for piece in pieces:
            delay = network.takes((self.process.name, self.far.name), rng)
            self._arrives = max(self._arrives + 1e-9, loop.now + delay)
            if self.peer is not None:
                loop.later_in(self.far, self._arrives - loop.now, self.peer.arrived, piece)

    def arrived(self, data: bytes) -> None:
        """Take bytes that arrive, in this end's process."""
        if self.closed:
            return
        if self._protocol is None:
            self._early.append(data)
        else:
            self._protocol.data_received(data)

    def __repr__(self) -> str:
        return f"<End {self.process.name} to {self.far.name}{' closed' if self.closed else ''}>"
