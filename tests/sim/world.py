"""The world of one run: machines, the production code on them, and an observer's notes."""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

import msgspec

from ddb.gateway.routing.router import Router
from ddb.node.admission import calls_back
from ddb.node.membership.boots import begin_boot
from ddb.node.membership.identity import IDENTITY_KEY, Identity, Stage, keep, mint, recall
from ddb.node.membership.outdated import discard
from ddb.node.node import Node
from ddb.node.replica.damage import Range
from ddb.node.storage.store import Family, StoreFailed
from ddb.ring.ring import Ring
from ddb.wire.listener import Listener
from ddb.wire.messages import Hello, Ping, Pong, Unwelcome, Welcome
from tests.sim.clock import SimClock
from tests.sim.costs import Costs
from tests.sim.disk import Health, SimDisk
from tests.sim.knobs import shipped
from tests.sim.loop import SimLoop
from tests.sim.machines import Gateway, GatewayGone, Late, Machine, View
from tests.sim.network import Host, SimNetwork, Weather, hello_of
from tests.sim.observed import Observed, Trouble
from tests.sim.plan import Plan
from tests.sim.process import Process
from tests.sim.store import SimStore
from tests.sim.streams import Wires
from tests.sim.transport import SimTransport
from tests.sim.waits import Waits
from tests.sim.wired import WiredTransport

_PING = Ping()
_rings: dict[tuple[object, ...], Ring] = {}


def ring_of(names: tuple[str, ...], partitions: float) -> Ring:
    """Return the production ring, made once per set of names and number of partitions."""
    key = (names, partitions)
    if key not in _rings:
        _rings[key] = Ring(names)
    return _rings[key]


class World:
    """Everything in one run."""

    def __init__(self, plan: Plan, loop: SimLoop) -> None:
        self.plan = plan
        self.loop = loop
        self.rng = random.Random(f"world {plan.salt}")
        self.network = SimNetwork(
            loop, random.Random(f"network {plan.salt}"), datagrams=plan.datagrams
        )
        self.names = tuple(f"db-{number}" for number in range(plan.nodes))
        self.ring = ring_of(self.names, plan.knobs["PARTITIONS"])
        self.observed = Observed()
        self.costs = Costs(self.ring)
        self.network.watch.append(self.costs.saw)
        self.fired: Counter[str] = Counter()
        self.machines = {name: Machine(name, self.disk(name), self._clock()) for name in self.names}
        self.gateways: list[Gateway] = []
        self.views: dict[str, View] = {}
        """Each process's transport, by name; it tells which peers the process believes up."""
        self.wires: Wires | None = None
        if plan.wired:
            self.wires = Wires(self.network, loop, random.Random(f"wires {plan.salt}"))
        self.until = Waits(loop).until
        self.began = 0.0
        """Start of the plan's time line, in virtual seconds."""
        delay, jitter, loss, doubled, late = plan.weather
        self.rough = Weather(delay, jitter, loss, doubled, late, plan.lateness)
        self.mild = Weather(delay, jitter)
        self.network.weather = self.rough if plan.early else self.mild

    def disk(self, name: str) -> SimDisk:
        """Make a blank disk."""
        rng = random.Random(f"disk {self.plan.salt} {name} {self.loop.steps}")
        disk = SimDisk(self.loop, rng)
        disk.health = Health(self.plan.fsync, self.plan.fsync)
        return disk

    def _clock(self) -> SimClock:
        skew = self.plan.skew
        return SimClock(self.loop, 1000 * self.rng.random(), self.rng.uniform(-skew, skew))

    def violate(self, checker: str, what: str) -> None:
        """Note that the run broke a promise."""
        self.observed.violate(checker, f"at {self.loop.now:.4f} s: {what}")

    def note(self, what: str) -> None:
        """Add a line to the readable trace."""
        self.observed.note(self.loop.now, what)

    # Nodes.

    def boot(self, machine: Machine) -> None:
        """Start a node's process, unless it runs."""
        if machine.up:
            return
        loop = self.loop
        machine.process = process = loop.process(machine.name)
        machine.store = store = SimStore(machine.disk)
        machine.node = None
        store.when_broken(lambda _: self._broke(machine, process))
        self.note(f"{machine.name} starts")
        loop.spawn(process, self._node(machine, process, store))

    async def _node(self, machine: Machine, process: Process, store: SimStore) -> None:
        name = machine.name
        rng = random.Random(f"{name} {self.plan.salt} {process.number}")
        try:
            identity = recall(store, name, self.names)
            if identity is None:
                identity = mint(name, self.names, rng)
                await keep(store, identity)
            if identity.discards:
                identity = await discard(store, identity)
            late, direct = (
                Late(),
                SimTransport(name, self.names, self.network, process, machine.clock),
            )
            transport = direct if self.wires is None else late
            boot = await begin_boot(store, identity.node_id, rng)
            node = Node(identity, boot, self.ring, store, transport, machine.clock, rng)
            machine.node = node
            hello = node.admission.hello
            if self.wires is not None:
                wired = late.real = self._wired(
                    name, process, hello, machine.clock, node.admission.check_answer
                )

                async def greet(caller: Hello) -> Welcome | Unwelcome:
                    answer = await node.admission.greet(caller)
                    if calls_back(answer):
                        wired.nudge(caller.caller)
                    return answer

                listener = Listener(node.handle, greet, machine.clock)
                await listener.start(name, 0)
                node.announce = listener.announce
            else:
                host = Host(
                    process, machine.clock, node.handle, node.admission.greet, lambda: _pong(node)
                )
                direct.connections.judge = node.admission.check_answer
                self._attach(direct, hello, host)
                node.announce = partial(self.network.announce, name)
            store.observe(node.disk_monitor)
            await node.run()
            self.note(f"{name} starts again: {node.bootstrap!r} {node.confirmation!r}")
            self.loop.later_in(self.loop.root, 0.0, self._again, machine, process)
        except StoreFailed:
            self._broke(machine, process)
        except Exception as error:
            self.violate("crash", f"{name} ended with {error!r}")
            raise

    def _again(self, machine: Machine, process: Process) -> None:
        if process.alive and machine.process is process:
            self.die(machine, power=False, lasts=0.0001)

    def _broke(self, machine: Machine, process: Process) -> None:
        """End a process some callbacks after its disk refused a write; the disk loses data."""
        if not process.alive:
            return
        if process.on_fuse is None:
            process.on_fuse = lambda: self._end(machine, process)
            process.fuse = self.rng.randrange(1, 12)
        # A process that runs no more callbacks burns no fuse, so a timer ends it too.
        self.loop.later_in(self.loop.root, 0.002, self._end, machine, process)

    def _end(self, machine: Machine, process: Process) -> None:
        if process.alive and machine.process is process:
            self.die(machine, power=True, lasts=0.1)

    def die(self, machine: Machine, *, power: bool, lasts: float) -> None:
        """End a node's process now, and start it again after `lasts` seconds.

        Args:
            power: True loses the unflushed writes too. False loses only those outside the page
                cache.
        """
        if machine.up:
            assert machine.process is not None
            self.loop.kill(machine.process)
            if self.wires is not None:
                self.wires.died(machine.process)
            elif machine.name in self.network.hosts:
                self.network.died(machine.name)
        lost = machine.disk.lose_power() if power else machine.disk.lose_process()
        if lost:
            self.fired["unsynced writes lost"] += 1
        self.note(f"{machine.name} dies" + (f", {lost} batches lost" if lost else ""))
        self.loop.later_in(self.loop.root, lasts, self.boot, machine)

    def whole(self, machine: Machine) -> bool:
        """Return whether a disk belongs to the cluster and stores its share of the records."""
        identity = self._identity(machine)
        return (
            identity is not None
            and identity.stage is Stage.READY
            and identity.node_id != machine.restored
        )

    def blank(self, machine: Machine) -> bool:
        """Return whether a disk is new, so that its node refills."""
        identity = self._identity(machine)
        return identity is not None and identity.stage is Stage.BLANK and not identity.discards

    def _identity(self, machine: Machine) -> Identity | None:
        found = machine.disk.get(Family.META, IDENTITY_KEY)
        return None if found is None else msgspec.json.decode(found, type=Identity)

    def damaged(self, machine: Machine) -> list[Range]:
        """Return the ranges that a node cannot read or has not rebuilt, up to the adjacent keys."""
        healed = machine.disk.rots.none and not (
            machine.node is None or machine.node.replica.copies.damage.ranges
        )
        if healed and machine.up and machine.store is not None:
            machine.damage.clear()
        return machine.damage

    def blocked(self) -> bool:
        """Whether an outdated disk and a damaged one wait for an operator.

        The rows of the outdated disk may be the last good copies, so no node may discard them.
        """
        outdated = [
            machine
            for machine in self.machines.values()
            if machine.node is not None and machine.node.bootstrap.identity.stage is Stage.OUTDATED
        ]
        return any(
            self.damaged(other)
            for other in (self.machines.values() if outdated else ())
            if other not in outdated
        )

    def ready(self, machine: Machine) -> bool:
        """Return whether a node runs and votes."""
        node = machine.node
        return machine.up and node is not None and node.votes

    # Gateways.

    def open_gateway(self, index: int) -> None:
        """Start a gateway's process, in place of an earlier one."""
        name = f"gw-{index}"
        process = self.loop.process(name)
        clock = self.gateways[index].clock if index < len(self.gateways) else self._clock()
        rng = random.Random(f"{name} {self.plan.salt} {process.number}")
        hello = partial(hello_of, name, self.ring.digest)
        transport: View
        if self.wires is not None:
            transport = self.loop.inside(process, lambda: self._wired(name, process, hello, clock))
        else:
            host = Host(process, clock, None, None, lambda: Pong(True))
            transport = SimTransport(name, self.names, self.network, process, clock)
            self._attach(transport, hello, host)
        gateway = Gateway(name, clock, process, Router(self.ring, transport, clock, rng))
        if index < len(self.gateways):
            self.gateways[index] = gateway
        else:
            self.gateways.append(gateway)

    def _attach(self, transport: SimTransport, hello: Callable[[str], Hello], host: Host) -> None:
        transport.connections.hello = hello
        transport.connections.caller = hello("")
        self.network.attach(transport, host)
        self.loop.soon_in(host.process, transport.connections.keep)
        self.views[transport.name] = transport
        if self.network.datagrams:
            for other in self.views.values():
                if isinstance(other, SimTransport) and other.process.alive:
                    self.loop.soon_in(other.process, other.connections.meet, transport.name)

    def _wired(
        self,
        name: str,
        process: Process,
        hello: Callable[[str], Hello],
        clock: SimClock,
        judge: Callable[[str, Welcome | Unwelcome], str] | None = None,
    ) -> WiredTransport:
        watches = self.network.watch
        transport = WiredTransport(name, self.names, process, hello, clock, watches, judge)
        self.views[name] = transport
        return transport

    def reset(self, one: str, other: str) -> None:
        """Break the connections between two hosts."""
        if self.wires is not None:
            self.wires.reset(one, other)
        else:
            self.network.reset(one, other)

    def close_gateway(self, index: int) -> None:
        """End a gateway's process; its waiting clients get `GatewayGone`."""
        gateway = self.gateways[index]
        self.loop.kill(gateway.process)
        if self.wires is not None:
            self.wires.died(gateway.process)
        self.note(f"{gateway.name} dies")
        for done in list(gateway.waiting):
            if not done.done():
                done.set_exception(GatewayGone(True))

    def sees_all(self) -> bool:
        """Return whether each node is ready and each process believes all nodes up."""
        return all(self.ready(machine) for machine in self.machines.values()) and all(
            self.views[name].all_up()
            for name in (*self.names, *(gateway.name for gateway in self.gateways))
        )

    def sees(self, name: str) -> bool:
        """Return whether a node is ready, and it and all others believe each other up."""
        if not self.ready(self.machines[name]):
            return False
        one, views = (name,), self.views
        others = tuple(other for other in self.names if self.ready(self.machines[other]))
        return (
            views[name].all_up(others)
            and all(views[other].all_up(one) for other in others)
            and all(views[gateway.name].all_up(one) for gateway in self.gateways)
        )

    @property
    def fault_free(self) -> bool:
        """Whether the plan has no faults, calm weather and shipped timeouts."""
        plan = self.plan
        return not (plan.faults or any(plan.weather[2:]) or plan.early) and shipped(plan.knobs)

    def trouble(self, *nodes: str) -> Trouble:
        """Note that trouble with `nodes` begins; none named means all."""
        return self.observed.trouble(self.loop.now, nodes)

    def __repr__(self) -> str:
        return f"<World of seed {self.plan.seed} at {self.loop.now:.3f} s>"


def _pong(node: Node) -> Pong:
    """Return a node's answer to a ping."""
    answer = node.handle(_PING, 1e12)
    assert isinstance(answer, Pong)
    return answer
