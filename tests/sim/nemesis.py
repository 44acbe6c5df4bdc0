"""The nemesis: makes a plan's faults happen, and notes whom they put out of reach."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ddb.ring.ring import CELL, key_of
from tests.sim.clients import record_id
from tests.sim.machines import Machine
from tests.sim.network import Weather
from tests.sim.observed import Trouble
from tests.sim.plan import Fault, FaultKind
from tests.sim.process import Process
from tests.sim.world import World

_AT_WRITE = 0.6
_MENDED = 0.1
"""Seconds after everybody believes in a node again until it counts as reachable."""


class Nemesis:
    """All faults of a run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._storms = 0
        self._acts: dict[FaultKind, Callable[[Fault], Coroutine[Any, Any, None]]] = {
            FaultKind.KILL: self._kill,
            FaultKind.POWER: self._power,
            FaultKind.BLACKOUT: self._blackout,
            FaultKind.DIES_TWICE: self._dies_twice,
            FaultKind.ROLLING: self._rolling,
            FaultKind.PAUSE: self._pause,
            FaultKind.WIPE: self._wipe,
            FaultKind.ISOLATE: self._isolate,
            FaultKind.CUT: self._cut,
            FaultKind.DEAF: self._deaf,
            FaultKind.BLIND: self._blind,
            FaultKind.CLOG: self._clog,
            FaultKind.SLOW_WAY: self._slow_way,
            FaultKind.SLOW_ASK: self._slow_ask,
            FaultKind.RESET: self._reset,
            FaultKind.STORM: self._storm,
            FaultKind.LAG: self._lag,
            FaultKind.SLOW_DISK: self._slow_disk,
            FaultKind.IO_ERROR: self._io_error,
            FaultKind.DISK_FULL: self._disk_full,
            FaultKind.CLOCK: self._clock,
            FaultKind.GATEWAY: self._gateway,
            FaultKind.GATEWAY_PAUSE: self._gateway_pause,
        }

    async def run(self, faults: tuple[Fault, ...]) -> None:
        """Let every fault happen at its time; returns when the last is over."""
        acts = []
        for fault in faults:
            await asyncio.sleep(max(0.0, fault.at - self._world.loop.now + self._world.began))
            acts.append(asyncio.ensure_future(self._act(fault)))
        for act in acts:
            await act

    async def _act(self, fault: Fault) -> None:
        world = self._world
        world.note(f"fault: {fault.kind.value} {self._name(fault.one)} {fault.lasts:.3f} s")
        await self._acts[fault.kind](fault)
        world.note(f"over: {fault.kind.value} {self._name(fault.one)}")

    def _fired(self, fault: Fault) -> None:
        self._world.fired[fault.kind.value] += 1

    def _name(self, number: int) -> str:
        world = self._world
        if world.plan.by_role and number < CELL:
            return world.ring.cell(key_of(record_id(0))).nodes[number]
        return f"db-{number}"

    def _machine(self, number: int) -> Machine:
        return self._world.machines[self._name(number)]

    async def mended(self, trouble: Trouble) -> None:
        """Wait until the nodes in trouble are believed in again, and close the trouble."""
        world = self._world
        await world.until(lambda: all(map(world.sees, trouble.nodes or world.names)))
        trouble.end = world.loop.now + _MENDED

    def _mend(self, trouble: Trouble) -> None:
        world = self._world
        world.loop.spawn(world.loop.root, self.mended(trouble))

    # Deaths.

    async def _die(self, fault: Fault, machine: Machine, *, power: bool) -> None:
        """End a node's process once the fuse has burnt, and wait until it is started again.

        The fuse is lit now, or by the next write to the node's disk, for that is when it matters.
        """
        world = self._world
        process = machine.process
        trouble = world.trouble(machine.name)
        if fault.fuse and process is not None and process.alive and not process.paused:

            def light(burns: int = fault.fuse) -> None:
                process.on_fuse = lambda: world.die(machine, power=power, lasts=fault.lasts)
                process.fuse = burns

            if fault.amount < _AT_WRITE:
                machine.disk.trap = lambda: light(fault.fuse % 8)
            else:
                light()
            await world.until(lambda: not machine.up, 0.5)
            machine.disk.trap = None
        if machine.process is process and (machine.up or power):
            world.die(machine, power=power, lasts=fault.lasts)
        await asyncio.sleep(fault.lasts)
        self._mend(trouble)

    async def _kill(self, fault: Fault) -> None:
        machine = self._machine(fault.one)
        if machine.up:
            self._fired(fault)
            await self._die(fault, machine, power=False)

    async def _power(self, fault: Fault) -> None:
        self._fired(fault)
        await self._die(fault, self._machine(fault.one), power=True)

    async def _blackout(self, fault: Fault) -> None:
        self._fired(fault)
        world = self._world
        trouble = world.trouble()
        machine = self._machine(fault.one)
        if fault.amount < _AT_WRITE and machine.up:
            # Some callbacks after a write, when others have it, too, and perhaps not on disk.
            struck: asyncio.Future[None] = world.loop.create_future()
            machine.disk.trap = lambda: struck.set_result(None)
            await asyncio.wait((struck,), timeout=0.5)
            machine.disk.trap = None
            await asyncio.sleep(0.002 * world.rng.random())
        for machine in world.machines.values():
            lasts = fault.lasts * (0.5 + world.rng.random())
            world.die(machine, power=True, lasts=lasts)
        await asyncio.sleep(1.5 * fault.lasts)
        self._mend(trouble)

    async def _dies_twice(self, fault: Fault) -> None:
        world, machine = self._world, self._machine(fault.one)
        if not machine.up:
            return
        trouble = world.trouble(machine.name)
        world.die(machine, power=False, lasts=fault.lasts)
        await asyncio.sleep(fault.lasts + 0.0001)
        process = machine.process
        if process is not None and process.alive:
            self._fired(fault)
            process.on_fuse = lambda: world.die(machine, power=True, lasts=fault.lasts)
            process.fuse = max(1, fault.fuse)
            await asyncio.sleep(fault.lasts)
        self._mend(trouble)

    async def _rolling(self, fault: Fault) -> None:
        self._fired(fault)
        world = self._world
        trouble = world.trouble()
        for machine in world.machines.values():
            world.die(machine, power=fault.amount < 0.3, lasts=0.2 * fault.lasts)
            await asyncio.sleep(fault.lasts * (0.1 + world.rng.random() * 0.4))
        self._mend(trouble)

    async def _wipe(self, fault: Fault) -> None:
        """Lose a disk, unless the data of another one has not been refilled yet."""
        world, machine = self._world, self._machine(fault.one)
        others = [other for other in world.machines.values() if other is not machine]
        if not all(map(world.whole, others)) or not world.whole(machine):
            return
        self._fired(fault)
        trouble = world.trouble(machine.name)
        world.die(machine, power=True, lasts=fault.lasts)
        machine.disk = world.disk(machine.name)
        world.note(f"{machine.name} loses its disk")
        await asyncio.sleep(fault.lasts)
        self._mend(trouble)

    # Standing still.

    async def _pause(self, fault: Fault) -> None:
        machine = self._machine(fault.one)
        process = machine.process
        if process is not None and process.alive and not process.paused:
            self._fired(fault)
            trouble = self._world.trouble(machine.name)
            await self._hold(process, fault)
            self._mend(trouble)

    async def _gateway_pause(self, fault: Fault) -> None:
        world = self._world
        gateway = world.gateways[fault.one % len(world.gateways)]
        if gateway.process.alive and not gateway.process.paused:
            self._fired(fault)
            trouble = world.trouble()
            await self._hold(gateway.process, fault)
            self._mend(trouble)

    async def _hold(self, process: Process, fault: Fault) -> None:
        loop = self._world.loop
        loop.pause(process)
        await asyncio.sleep(fault.lasts)
        loop.resume(process)

    async def _gateway(self, fault: Fault) -> None:
        world = self._world
        index = fault.one % len(world.gateways)
        if world.gateways[index].process.alive:
            self._fired(fault)
            trouble = world.trouble()
            world.close_gateway(index)
            await asyncio.sleep(fault.lasts)
            world.open_gateway(index)
            self._mend(trouble)

    # The network.

    async def _between(self, fault: Fault, pairs: list[tuple[str, str]], who: str) -> None:
        self._fired(fault)
        cut, trouble = self._world.network.cut, self._world.trouble(who)
        for pair in pairs:
            cut[pair] += 1
        await asyncio.sleep(fault.lasts)
        for pair in pairs:
            cut[pair] -= 1
        self._mend(trouble)

    async def _isolate(self, fault: Fault) -> None:
        world, one = self._world, self._name(fault.one)
        others = [name for name in world.names if name != one]
        others += [gateway.name for gateway in world.gateways]
        pairs = [(one, other) for other in others] + [(other, one) for other in others]
        await self._between(fault, pairs, one)

    async def _cut(self, fault: Fault) -> None:
        one, other = self._name(fault.one), self._name(fault.other)
        await self._between(fault, [(one, other), (other, one)], one)

    async def _deaf(self, fault: Fault) -> None:
        one, other = self._name(fault.one), self._name(fault.other)
        await self._between(fault, [(one, other)], one)

    async def _blind(self, fault: Fault) -> None:
        one = self._name(fault.one)
        gateway = self._world.gateways[fault.other % len(self._world.gateways)].name
        pairs = [(gateway, one), (one, gateway)]
        if fault.amount < 0.5:
            pairs.pop()
        await self._between(fault, pairs, one)

    async def _clog(self, fault: Fault) -> None:
        self._fired(fault)
        one, other = self._name(fault.one), self._name(fault.other)
        clogged, trouble = self._world.network.clogged, self._world.trouble()
        pairs = [(one, other)] + ([(other, one)] if fault.amount < 0.5 else [])
        for pair in pairs:
            clogged[pair] += 1
        await asyncio.sleep(fault.lasts)
        for pair in pairs:
            clogged[pair] -= 1
        # What is on its way still takes its time.
        await asyncio.sleep(0.5)
        self._mend(trouble)

    async def _slow_way(self, fault: Fault) -> None:
        await self._slow(fault, self._name(fault.one), self._name(fault.other))

    async def _slow_ask(self, fault: Fault) -> None:
        gateways = self._world.gateways
        await self._slow(fault, gateways[fault.other % len(gateways)].name, self._name(fault.one))

    async def _slow(self, fault: Fault, source: str, target: str) -> None:
        self._fired(fault)
        longer, trouble = self._world.network.longer, self._world.trouble()
        longer[source, target] = 0.01 * fault.amount
        await asyncio.sleep(fault.lasts)
        longer.pop((source, target), None)
        self._mend(trouble)

    async def _reset(self, fault: Fault) -> None:
        self._fired(fault)
        world = self._world
        one, other = self._name(fault.one), self._name(fault.other)
        if fault.amount < 0.3:
            other = world.gateways[fault.other % len(world.gateways)].name
        trouble = world.trouble(one)
        world.reset(one, other)
        await asyncio.sleep(0.02)
        self._mend(trouble)

    async def _storm(self, fault: Fault) -> None:
        delay, jitter = self._world.rough.delay, self._world.rough.jitter
        await self._squall(fault, Weather(delay, jitter, 0.3 * fault.amount, 0.2, 0.3, 0.2))

    async def _lag(self, fault: Fault) -> None:
        rough = self._world.rough
        await self._squall(
            fault, Weather(rough.delay, rough.jitter, 0.0, 0.0, 0.8, max(0.02, rough.lateness))
        )

    async def _squall(self, fault: Fault, weather: Weather) -> None:
        self._fired(fault)
        world = self._world
        trouble = world.trouble()
        self._storms += 1
        world.network.weather = weather
        await asyncio.sleep(fault.lasts)
        self._storms -= 1
        if not self._storms:
            world.network.weather = world.rough
        await asyncio.sleep(0.5)
        self._mend(trouble)

    # Disks and clocks.

    async def _slow_disk(self, fault: Fault) -> None:
        self._fired(fault)
        machine = self._machine(fault.one)
        health, trouble = machine.disk.health, self._world.trouble()
        health.fsync, health.jitter = 0.01 + 0.3 * fault.amount**2, 0.1
        await asyncio.sleep(fault.lasts)
        health.fsync = health.jitter = self._world.plan.fsync
        await asyncio.sleep(0.4)
        self._mend(trouble)

    async def _io_error(self, fault: Fault) -> None:
        self._fired(fault)
        machine = self._machine(fault.one)
        health, trouble = machine.disk.health, self._world.trouble(machine.name)
        health.failing = True
        await asyncio.sleep(fault.lasts)
        health.failing = False
        await asyncio.sleep(0.2)
        self._mend(trouble)

    async def _disk_full(self, fault: Fault) -> None:
        self._fired(fault)
        machine = self._machine(fault.one)
        health, trouble = machine.disk.health, self._world.trouble(machine.name)
        health.full = True
        await asyncio.sleep(fault.lasts)
        health.full = False
        await asyncio.sleep(0.2)
        self._mend(trouble)

    async def _clock(self, fault: Fault) -> None:
        self._fired(fault)
        seconds = (fault.amount - 0.5) * 2 * fault.lasts * (1000 if fault.fuse else 1)
        self._machine(fault.one).clock.jump(seconds)
        await asyncio.sleep(0)

    def __repr__(self) -> str:
        return f"<Nemesis of {self._world!r}>"
