"""One process's connections on the simulated network, and its view of its peers.

The connections follow the rules and limits of the real `Link`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from ddb.node.storage.store import StoreFailed
from ddb.wire import in_flight, link
from ddb.wire.messages import DiskNotice, DiskState, Hello, Pong, Refusal, Reply, Unwelcome, Welcome
from ddb.wire.ports import Condition, Silent
from tests.sim.network import Host, SimNetwork
from tests.sim.process import Handle, Process


@dataclass(slots=True)
class Peer:
    """One process's state of another, as in the real link."""

    condition: Condition = Condition.DOWN
    incarnation: int = 0
    received_at: float = 0.0
    voting: bool = False
    disk: DiskState = DiskState.HEALTHY
    broken_since: float | None = None
    retry_at: float = 0.0
    attempt: int = 0
    waiting: dict[int, "Asked"] = field(default_factory=dict)
    called: bool = False
    """Whether the peer has called this process since this process last called the peer."""
    unproven: bool = False
    """Whether one of the two refuses the other, perhaps until a new disk is proved."""

    @property
    def believed(self) -> Condition:
        """As `Link.condition`."""
        return link.believed(self.condition, self.voting, self.disk)

    def ponged(self, pong: Pong) -> None:
        """Take over the state of the peer from its pong."""
        self.voting, self.disk = pong.ready, pong.disk

    def give_up(self, reason: str) -> None:
        """End every request in flight."""
        waiting, self.waiting = self.waiting, {}
        for asked in waiting.values():
            if asked.timer is not None:
                asked.timer.cancel()
            if not asked.future.done():
                asked.future.set_exception(Silent(reason))
                asked.future.exception()


@dataclass(slots=True)
class Asked:
    """One request in flight; times in seconds of the loop."""

    future: asyncio.Future[Reply]
    sent: float
    deadline: float
    timeout_s: float
    timer: Handle | None = None


class Connections:
    """The connections of `name` to the nodes `names`."""

    def __init__(
        self, name: str, names: tuple[str, ...], network: SimNetwork, process: Process
    ) -> None:
        self.hello: Callable[[str], Hello] | None = None
        self.caller: Hello | None = None
        """The Hello by which callees know this process; made once, since each request needs it."""
        self.judge: Callable[[str, Welcome | Unwelcome], str] | None = None
        self.peers = {other: Peer() for other in names if other != name}
        self._name = name
        self._network = network
        self._process = process
        self._loop = network.loop

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        return self.peers[to].believed

    def all_up(self, names: tuple[str, ...] | None = None) -> bool:
        """Return whether this process believes all peers up, or all of `names`."""
        peers = self.peers
        for name in peers if names is None else names:
            peer = peers.get(name)
            if peer is not None and peer.believed is not Condition.UP:
                return False
        return True

    def keep(self) -> None:
        """Check all peers, again and again until the process ends."""
        network, datagrams, me = self._network, self._network.datagrams, self._name
        hosts, cut, received_at = network.hosts, network.cut, self._loop.now - network.weather.delay
        for name, peer in self.peers.items():
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
                # The usual case. With datagrams, the current incarnation of a peer answers.
                if host.process.number != peer.incarnation and self._loop.now >= peer.retry_at:
                    self._connect(name, peer, host)
                peer.broken_since = None
                peer.received_at = max(peer.received_at, received_at)
                peer.ponged(host.pong())
                peer.condition = Condition.UP
            else:
                self._tend(name, peer, host)
        delay = link.PING_INTERVAL_S * (0.7 + 0.3 * self._network.rng.random())
        self._loop.later_in(self._process, delay, self.keep)

    def meet(self, name: str) -> None:
        """Greet a peer that has restarted, with datagrams, if this process believes it up.

        Otherwise the peer would take no proposals until the next ping. No late proposal would then
        do any harm, and the simulation would miss the bugs that need one.
        """
        peer, host = self.peers.get(name), self._network.hosts.get(name)
        if peer is not None and host is not None and peer.condition is not Condition.DOWN:
            self._connect(name, peer, host)

    def called_by(self, name: str, reply: Welcome | Unwelcome) -> None:
        """Call a peer back, as a node does at once, where a new disk has to be proved."""
        peer = self.peers.get(name)
        if peer is None:
            return
        peer.called = True
        if peer.unproven or _is_unproven(reply):
            self._connect(name, peer, self._network.hosts.get(name))

    def probe(self, name: str) -> None:
        """Ping a peer that a request waits for; take note if it answers now."""
        network, peer, host = self._network, self.peers[name], self._network.hosts.get(name)
        if (
            self._loop.now - peer.received_at >= in_flight.PROBE_AFTER_S
            and host is not None
            and (host.process.number == peer.incarnation or network.datagrams)
            and host.process.alive
            and not host.process.paused
            and network.flows(self._name, name)
            and network.flows(name, self._name)
        ):
            peer.received_at = self._loop.now - network.weather.delay

    def _tend(self, name: str, peer: Peer, host: Host | None) -> None:
        """Handle a peer that does not answer, as a socket would report it by now."""
        network, now = self._network, self._loop.now
        there, back = network.flows(self._name, name), network.flows(name, self._name)
        alive = host is not None and host.process.alive
        if peer.condition is Condition.DOWN:
            if now >= peer.retry_at:
                self._connect(name, peer, host if alive and there and back else None)
            return
        same = alive and host is not None and host.process.number == peer.incarnation
        if network.datagrams and alive:
            same = True
        if not same and there and back and not network.datagrams:
            # The peer's machine runs without the process, so it resets the connection.
            self.lose(name, "closed by peer")
        else:
            self._wait(name, peer)

    def _wait(self, name: str, peer: Peer) -> None:
        now = self._loop.now
        if peer.broken_since is None:
            peer.broken_since = now
        silent = now - max(peer.received_at, peer.broken_since)
        if silent >= link.RECONNECT_AFTER_S:
            self.lose(name, "silent")
        elif silent >= link.SUSPECT_AFTER_S and peer.condition is Condition.UP:
            peer.condition = Condition.SUSPECT

    def _connect(self, name: str, peer: Peer, host: Host | None) -> None:
        if host is None or host.process.paused or self.hello is None or host.greet is None:
            wait = link.RECONNECT_DELAYS_S[min(peer.attempt, len(link.RECONNECT_DELAYS_S) - 1)]
            peer.attempt += 1
            peer.retry_at = self._loop.now + wait
            return
        peer.retry_at = self._loop.now + 0.2
        peer.called = False
        hello = self.hello(name)
        self._network.carry(self._name, name, host.process, self._greeted, name, host, hello)

    def _greeted(self, name: str, host: Host, hello: Hello) -> None:
        """Handle a Hello, in the callee's process."""
        if host.greet is None:
            return
        greeted = self._loop.create_task(host.greet(hello), context=host.process.context.copy())
        greeted.add_done_callback(lambda done: self._answered(name, host, done))

    def _answered(self, name: str, host: Host, greeted: asyncio.Task[Welcome | Unwelcome]) -> None:
        """Send the answer to a Hello, in the callee's process."""
        if greeted.cancelled() or isinstance(greeted.exception(), StoreFailed):
            return
        greeting = greeted.result()
        if isinstance(greeting, Unwelcome) and greeting.refusal is Refusal.MISMATCH:
            self._network.failures.append(f"{name} refuses {self._name}: {greeting.reason}")
            return
        self._network.transports[name].called_by(self._name, greeting)
        self._network.carry(name, self._name, self._process, self._connected, name, host, greeting)

    def _connected(self, name: str, host: Host, greeting: Welcome | Unwelcome) -> None:
        """Handle the answer to a Hello, in the caller's process."""
        peer = self.peers[name]
        peer.unproven = _is_unproven(greeting)
        if self.judge is not None and self.judge(name, greeting):
            # If the peer has a new disk, its next Hello proves it.
            peer.unproven = peer.unproven or isinstance(greeting, Welcome)
            if peer.called and _is_unproven(greeting):
                self._connect(name, peer, host)
            if peer.condition is not Condition.DOWN and peer.incarnation != host.process.number:
                # Without connections: what was believed of an earlier process does not hold. Its
                # reply may still come, and then proves nothing of the new disk.
                peer.condition = Condition.DOWN
                peer.voting, peer.disk = False, DiskState.HEALTHY
            return
        if not host.process.alive or (
            peer.condition is not Condition.DOWN and peer.incarnation == host.process.number
        ):
            return
        peer.condition = Condition.UP
        peer.incarnation = host.process.number
        peer.received_at = self._loop.now
        peer.broken_since = None
        peer.attempt = 0
        peer.ponged(host.pong())

    def bereft(self, name: str, incarnation: int) -> None:
        """Take note that a peer's process has ended."""
        peer = self.peers.get(name)
        if peer is not None and peer.incarnation == incarnation:
            self.lose(name, "closed by peer")

    def noticed(self, name: str, incarnation: int, notice: DiskNotice) -> None:
        """Take a peer's notice about its disk."""
        peer = self.peers.get(name)
        if peer is None or peer.condition is Condition.DOWN or peer.incarnation != incarnation:
            return
        peer.disk = notice.disk
        if notice.give_up:
            peer.give_up(f"the disk of {name} is {notice.disk.name.lower()}")

    def lose(self, name: str, reason: str) -> None:
        """Drop the connection to a peer and end all requests on it."""
        peer = self.peers.get(name)
        if peer is None or peer.condition is Condition.DOWN:
            return
        peer.condition = Condition.DOWN
        peer.voting, peer.disk = False, DiskState.HEALTHY
        peer.retry_at = self._loop.now + link.RECONNECT_DELAYS_S[0] * self._network.rng.random()
        peer.give_up(f"lost {name}: {reason}")

    def __repr__(self) -> str:
        return f"<Connections of {self._name}>"


def _is_unproven(reply: Welcome | Unwelcome) -> bool:
    return isinstance(reply, Unwelcome) and reply.refusal is Refusal.UNPROVEN_DISK
