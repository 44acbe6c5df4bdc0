"""One process's `Transport` on the simulated network: requests and replies.

It keeps the promises of `ddb.wire.ports`, by the rules and limits of the real `Link`.
"""

import asyncio

import msgspec

from ddb.node.storage.store import StoreFailed
from ddb.wire import in_flight
from ddb.wire.messages import (
    DiskNotice,
    Failed,
    Message,
    Reply,
    Request,
    Unwelcome,
    Welcome,
)
from ddb.wire.ports import Condition, Silent, Unreachable
from tests.sim.clock import SimClock
from tests.sim.connections import Asked, Connections
from tests.sim.network import Host, SimNetwork
from tests.sim.process import Process

_encode = msgspec.msgpack.Encoder().encode


class SimTransport:
    """One process's `Transport` to the nodes `names`."""

    def __init__(
        self,
        name: str,
        names: tuple[str, ...],
        network: SimNetwork,
        process: Process,
        clock: SimClock,
    ) -> None:
        self.name = name
        self.process = process
        self.connections = Connections(name, names, network, process)
        self._network = network
        self._clock = clock
        self._loop = network.loop
        self._peers = self.connections.peers
        self._correlation = 0
        self._begun: set[int] = set()
        """Correlations of the requests that a callee has begun to handle."""

    # The port.

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        peer = self._peers[to]
        if peer.condition is Condition.DOWN:
            future.set_exception(Unreachable(f"{to} is not connected"))
            return future
        self._correlation += 1
        now = self._loop.now
        asked = Asked(future, now, deadline - self._clock.offset, timeout_s)
        peer.waiting[self._correlation] = asked
        due = (
            min(max(asked.deadline, now), now + timeout_s)
            + in_flight.SWEEP_INTERVAL_S * self._rng()
        )
        asked.timer = self._loop.later_in(
            self.process, due - now, self._check, to, self._correlation
        )
        network = self._network
        for watch in network.watch:
            watch(self.name, to, request)
        host = network.hosts.get(to)
        self._loop.record(_encode(request))
        if network.datagrams:
            network.carry(
                self.name,
                to,
                self._loop.root,
                self._forward,
                to,
                self._correlation,
                asked.deadline,
                request,
            )
        elif host is not None and host.process.number == peer.incarnation:
            network.carry(
                self.name,
                to,
                host.process,
                self._arrived,
                host,
                peer.incarnation,
                self._correlation,
                asked.deadline,
                request,
            )
        return future

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        return self.connections.condition(to)

    def all_up(self, names: tuple[str, ...] | None = None) -> bool:
        """Return whether this process believes all peers up, or all of `names`."""
        return self.connections.all_up(names)

    # Called by the network.

    def lose(self, name: str, reason: str) -> None:
        """Drop the connection to a peer."""
        self.connections.lose(name, reason)

    def bereft(self, name: str, incarnation: int) -> None:
        """Take note that a peer's process has ended."""
        self.connections.bereft(name, incarnation)

    def called_by(self, name: str, reply: Welcome | Unwelcome) -> None:
        """Take note that this process has given a peer's Hello that reply."""
        self.connections.called_by(name, reply)

    def noticed(self, name: str, incarnation: int, notice: DiskNotice) -> None:
        """Take a peer's notice about its disk."""
        self.connections.noticed(name, incarnation, notice)

    # Requests and replies.

    def _rng(self) -> float:
        return self._network.rng.random()

    def _forward(self, to: str, correlation: int, deadline: float, request: Request) -> None:
        """Deliver a datagram to the current incarnation of the callee."""
        host = self._network.hosts.get(to)
        if host is not None:
            self._loop.soon_in(host.process, self._arrived, host, 0, correlation, deadline, request)

    def _arrived(
        self, host: Host, incarnation: int, correlation: int, deadline: float, request: Request
    ) -> None:
        """Handle a request, in the callee's process."""
        if host.handler is None:
            return
        # The real wire converts deadlines between clocks and errs towards an early end.
        if self._loop.now + 0.0005 >= deadline:
            self._network.fired["expired"] += 1
            if correlation not in self._begun:
                self._answer(host, correlation, Failed("the deadline had passed"))
            return
        copy = correlation in self._begun
        self._begun.add(correlation)
        try:
            handling = host.handler(request, deadline + host.clock.offset, self.connections.caller)
        except StoreFailed:
            return
        if copy and isinstance(handling, Failed):
            # The callee may have acted on another copy, so it must not report a failure.
            return
        if isinstance(handling, Message):
            self._answer(host, correlation, handling)
            return
        task: asyncio.Future[Reply]
        if isinstance(handling, asyncio.Future):
            task = handling
        else:
            task = self._loop.create_task(handling, context=host.process.context.copy())
        task.add_done_callback(lambda done: self._done(host, correlation, request, done))

    def _done(
        self, host: Host, correlation: int, request: Request, task: asyncio.Future[Reply]
    ) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._answer(host, correlation, task.result())
        elif not isinstance(error, StoreFailed):
            self._network.failures.append(f"{host.process.name} on {request!r}: {error!r}")

    def _answer(self, host: Host, correlation: int, reply: Reply) -> None:
        self._network.carry(
            host.process.name,
            self.name,
            self.process,
            self._replied,
            host.process.name,
            host.process.number,
            correlation,
            reply,
        )

    def _replied(self, source: str, incarnation: int, correlation: int, reply: Reply) -> None:
        """Handle a reply, in the caller's process."""
        peer = self._peers[source]
        if self._network.datagrams:
            if peer.condition is Condition.DOWN:
                return
        elif peer.incarnation != incarnation or peer.condition is Condition.DOWN:
            return
        peer.received_at = self._loop.now
        if peer.condition is Condition.SUSPECT:
            peer.condition = Condition.UP
        asked = peer.waiting.pop(correlation, None)
        if asked is None:
            return
        if asked.timer is not None:
            asked.timer.cancel()
        self._loop.record(_encode(reply))
        if not asked.future.done():
            asked.future.set_result(reply)

    def _check(self, to: str, correlation: int) -> None:
        """End a request once its deadline or the timeout of its peer has passed."""
        peer = self._peers[to]
        asked = peer.waiting.get(correlation)
        if asked is None:
            return
        now = self._loop.now
        waited = now - asked.sent
        self.connections.probe(to)
        quiet = min(waited, now - peer.received_at)
        if (
            quiet >= asked.timeout_s
            or waited >= asked.timeout_s * in_flight.HARD_TIMEOUT_FACTOR
            or now >= asked.deadline
        ):
            del peer.waiting[correlation]
            if quiet >= asked.timeout_s and peer.condition is Condition.UP:
                peer.condition = Condition.SUSPECT
            if not asked.future.done():
                asked.future.set_exception(Silent(f"{to} did not answer"))
                asked.future.exception()
            return
        asked.timer = self._loop.later_in(
            self.process, in_flight.SWEEP_INTERVAL_S, self._check, to, correlation
        )

    def __repr__(self) -> str:
        return f"<SimTransport of {self.name}>"
