"""One process's `Transport` on the simulated network, with beliefs about its peers.

Connections are made, believed in, suspected and given up by the rules and limits of the real
`Link`, and every promise of `ddb.wire.ports` is kept.
"""

import asyncio
from dataclasses import dataclass, field

import msgspec

from ddb.node.store import StoreFailed
from ddb.wire import link
from ddb.wire.messages import Failed, Hello, Message, Reply, Request, Unwelcome
from ddb.wire.ports import Condition, Silent, Unreachable
from tests.sim.clock import SimClock
from tests.sim.network import Host, SimNetwork
from tests.sim.process import Handle, Process

_encode = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class Peer:
    """What one process knows of another: as the real link does."""

    condition: Condition = Condition.DOWN
    incarnation: int = 0
    heard: float = 0.0
    voting: bool = False
    broken_since: float | None = None
    retry_at: float = 0.0
    attempt: int = 0
    waiting: dict[int, "Asked"] = field(default_factory=dict)


@dataclass(slots=True)
class Asked:
    """One request on its way."""

    future: asyncio.Future[Reply]
    sent: float
    deadline: float
    patience: float
    timer: Handle | None = None


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
        self.hello: Hello | None = None
        self._network = network
        self.process = process
        self._clock = clock
        self._loop = network.loop
        self._peers = {other: Peer() for other in names if other != name}
        self._correlation = 0

    # The port.

    def ask(
        self, to: str, request: Request, *, deadline: float, patience: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        peer = self._peers[to]
        if peer.condition is Condition.DOWN:
            future.set_exception(Unreachable(f"{to} is not connected"))
            return future
        self._correlation += 1
        now = self._loop.now
        asked = Asked(future, now, deadline - self._clock.offset, patience)
        peer.waiting[self._correlation] = asked
        due = min(max(asked.deadline, now), now + patience) + link.SWEEP_EVERY * self._rng()
        asked.timer = self._loop.later_in(
            self.process, due - now, self._look, to, self._correlation
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
        peer = self._peers[to]
        if peer.condition is Condition.UP and not peer.voting:
            return Condition.SUSPECT
        return peer.condition

    def all_up(self, names: tuple[str, ...] | None = None) -> bool:
        """Whether all peers (of those named) are believed up."""
        peers = self._peers
        for name in peers if names is None else names:
            peer = peers.get(name)
            if peer is not None and not (peer.voting and peer.condition is Condition.UP):
                return False
        return True

    # Requests and replies.

    def _rng(self) -> float:
        return self._network.rng.random()

    def _forward(self, to: str, correlation: int, deadline: float, request: Request) -> None:
        """Without connections: a request reaches whichever incarnation is there."""
        host = self._network.hosts.get(to)
        if host is not None:
            self._loop.soon_in(host.process, self._arrived, host, 0, correlation, deadline, request)

    def _arrived(
        self, host: Host, incarnation: int, correlation: int, deadline: float, request: Request
    ) -> None:
        """In the callee's process."""
        if host.handler is None:
            return
        # The real wire's bound on the callee's clock errs towards an early end.
        if self._loop.now + 0.0005 >= deadline:
            self._network.fired["expired"] += 1
            self._answer(host, correlation, Failed("the deadline had passed"))
            return
        try:
            handling = host.handler(request, deadline + host.clock.offset)
        except StoreFailed:
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
        """In the caller's process."""
        peer = self._peers[source]
        if self._network.datagrams:
            if peer.condition is Condition.DOWN:
                return
        elif peer.incarnation != incarnation or peer.condition is Condition.DOWN:
            return
        peer.heard = self._loop.now
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

    def _look(self, to: str, correlation: int) -> None:
        """Give a request up once its deadline or the patience with its peer is over."""
        peer = self._peers[to]
        asked = peer.waiting.get(correlation)
        if asked is None:
            return
        now = self._loop.now
        waited = now - asked.sent
        quiet = min(waited, now - peer.heard)
        if (
            quiet >= asked.patience
            or waited >= asked.patience * link.HARD_PATIENCE
            or now >= asked.deadline
        ):
            del peer.waiting[correlation]
            if quiet >= asked.patience and peer.condition is Condition.UP:
                peer.condition = Condition.SUSPECT
            if not asked.future.done():
                asked.future.set_exception(Silent(f"{to} did not answer"))
                asked.future.exception()
            return
        asked.timer = self._loop.later_in(
            self.process, link.SWEEP_EVERY, self._look, to, correlation
        )

    # The connections.

    def keep(self) -> None:
        """Watch the peers, for as long as the process lives."""
        network, datagrams, me = self._network, self._network.datagrams, self.name
        hosts, cut, heard = network.hosts, network.cut, self._loop.now - network.weather.delay
        for name, peer in self._peers.items():
            host = hosts.get(name)
            if (
                host is not None
                and peer.condition is not Condition.DOWN
                and (host.process.number == peer.incarnation or datagrams)
                and host.process.alive
                and not host.process.paused
                and not cut.get((me, name))
                and not cut.get((name, me))
            ):
                # Nearly always. Without connections it hears whichever incarnation is there.
                peer.incarnation = host.process.number
                peer.broken_since = None
                peer.heard = max(peer.heard, heard)
                peer.voting = host.ready()
                peer.condition = Condition.UP
            else:
                self._tend(name, peer, host)
        delay = link.PING_EVERY * (0.7 + 0.3 * self._rng())
        self._loop.later_in(self.process, delay, self.keep)

    def _tend(self, name: str, peer: Peer, host: Host | None) -> None:
        """One look at a peer that does not answer: what a socket would have told by now."""
        network, now = self._network, self._loop.now
        there, back = network.flows(self.name, name), network.flows(name, self.name)
        alive = host is not None and host.process.alive
        if peer.condition is Condition.DOWN:
            if now >= peer.retry_at:
                self._connect(name, peer, host if alive and there and back else None)
            return
        same = alive and host is not None and host.process.number == peer.incarnation
        if network.datagrams and alive and host is not None:
            peer.incarnation, same = host.process.number, True
        if not same and there and back and not network.datagrams:
            # The machine that is left resets the connection.
            self.lose(name, "closed by peer")
        else:
            self._wait(name, peer)

    def _wait(self, name: str, peer: Peer) -> None:
        now = self._loop.now
        if peer.broken_since is None:
            peer.broken_since = now
        silent = now - max(peer.heard, peer.broken_since)
        if silent >= link.GIVE_UP_AFTER:
            self.lose(name, "silent")
        elif silent >= link.SUSPECT_AFTER and peer.condition is Condition.UP:
            peer.condition = Condition.SUSPECT

    def _connect(self, name: str, peer: Peer, host: Host | None) -> None:
        if host is None or host.process.paused or self.hello is None or host.greet is None:
            wait = link.RETRY_AFTER[min(peer.attempt, len(link.RETRY_AFTER) - 1)]
            peer.attempt += 1
            peer.retry_at = self._loop.now + wait
            return
        peer.retry_at = self._loop.now + 0.2
        self._network.carry(self.name, name, host.process, self._greeted, name, host, self.hello)

    def _greeted(self, name: str, host: Host, hello: Hello) -> None:
        """In the callee's process."""
        if host.greet is None:
            return
        greeting = host.greet(hello)
        if isinstance(greeting, Unwelcome):
            self._network.failures.append(f"{name} refuses {self.name}: {greeting.reason}")
            return
        self._network.carry(name, self.name, self.process, self._connected, name, host)

    def _connected(self, name: str, host: Host) -> None:
        """In the caller's process."""
        peer = self._peers[name]
        if peer.condition is not Condition.DOWN or not host.process.alive:
            return
        peer.condition = Condition.UP
        peer.incarnation = host.process.number
        peer.heard = self._loop.now
        peer.broken_since = None
        peer.attempt = 0
        peer.voting = host.ready()

    def bereft(self, name: str, incarnation: int) -> None:
        """The peer's process has ended."""
        peer = self._peers.get(name)
        if peer is not None and peer.incarnation == incarnation:
            self.lose(name, "closed by peer")

    def lose(self, name: str, reason: str) -> None:
        """The connection is gone: so is every answer still owed on it."""
        peer = self._peers.get(name)
        if peer is None or peer.condition is Condition.DOWN:
            return
        peer.condition = Condition.DOWN
        peer.voting = False
        peer.retry_at = self._loop.now + link.RETRY_AFTER[0] * self._rng()
        waiting, peer.waiting = peer.waiting, {}
        for asked in waiting.values():
            if asked.timer is not None:
                asked.timer.cancel()
            if not asked.future.done():
                asked.future.set_exception(Silent(f"lost {name}: {reason}"))
                asked.future.exception()

    def __repr__(self) -> str:
        return f"<SimTransport of {self.name}>"
