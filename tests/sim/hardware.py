"""Faults of disks and clocks."""

import asyncio

from ddb.node.replica.damage import Range
from ddb.node.storage.store import Family as NodeFamily
from ddb.ring.ring import END
from tests.sim.plan import Fault, FaultKind
from tests.sim.targets import Acts, Targets

_HINTS = 0.7
"""A bad block with a higher `amount` is among hints, one with a lower among home copies."""


class Hardware:
    """Slow, broken and full disks, bad blocks, and clocks that jump."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._world = targets.world
        self.acts: Acts = {
            FaultKind.SLOW_DISK: self._slow_disk,
            FaultKind.STALLED_DISK: self._stalled_disk,
            FaultKind.LATE_DISKS: self._late_disks,
            FaultKind.IO_ERROR: self._io_error,
            FaultKind.DISK_FULL: self._disk_full,
            FaultKind.BAD_BLOCK: self._bad_block,
            FaultKind.CLOCK: self._clock,
        }

    async def _slow_disk(self, fault: Fault) -> None:
        self._targets.fired(fault)
        machine = self._targets.machine(fault.one)
        health, trouble = machine.disk.health, self._world.trouble(machine.name)
        health.fsync, health.jitter = 0.01 + 0.3 * fault.amount**2, 0.1
        await asyncio.sleep(fault.lasts)
        health.fsync = health.jitter = self._world.plan.fsync
        await asyncio.sleep(0.4)
        self._targets.end_trouble(trouble)

    async def _stalled_disk(self, fault: Fault) -> None:
        self._targets.fired(fault)
        machine = self._targets.machine(fault.one)
        health, trouble = machine.disk.health, self._world.trouble(machine.name)
        health.stalled += 1
        await asyncio.sleep(fault.lasts)
        health.stalled -= 1
        self._targets.end_trouble(trouble)

    async def _late_disks(self, fault: Fault) -> None:
        """Slow all disks down; reads in the second half must still be answered in time."""
        self._targets.fired(fault)
        trouble = self._world.trouble()
        disks = [machine.disk.health for machine in self._world.machines.values()]
        for health in disks:
            health.fsync, health.jitter = 0.052, 0.006
        await asyncio.sleep(fault.lasts / 2)
        trouble.end = self._world.loop.now
        await asyncio.sleep(fault.lasts / 2)
        for health in disks:
            health.fsync = health.jitter = self._world.plan.fsync

    async def _io_error(self, fault: Fault) -> None:
        self._targets.fired(fault)
        machine = self._targets.machine(fault.one)
        health, trouble = machine.disk.health, self._world.trouble(machine.name)
        health.failing = True
        await asyncio.sleep(fault.lasts)
        health.failing = False
        await asyncio.sleep(0.2)
        self._targets.end_trouble(trouble)

    async def _disk_full(self, fault: Fault) -> None:
        self._targets.fired(fault)
        machine = self._targets.machine(fault.one)
        health, trouble = machine.disk.health, self._world.trouble(machine.name)
        health.full = True
        await asyncio.sleep(fault.lasts)
        health.full = False
        await asyncio.sleep(0.2)
        self._targets.end_trouble(trouble)

    async def _bad_block(self, fault: Fault) -> None:
        """Make some rows of one family unreadable, unless another copy of them is damaged."""
        world, machine = self._world, self._targets.machine(fault.one)
        family = NodeFamily.HINTS if fault.amount > _HINTS else NodeFamily.RECORDS
        keys = sorted(machine.disk.durable(family))
        if not keys or not all(map(world.whole, world.machines.values())):
            return
        at = int(1e6 * fault.amount) % len(keys)
        rotten = keys[at : at + 1 + fault.fuse % 4]
        extent = Range(
            keys[at - 1] if at else b"",
            keys[at + len(rotten)] if at + len(rotten) < len(keys) else END,
        )
        for other in world.machines.values():
            for there in world.damaged(other) if other is not machine else ():
                # A standby drops hints, which may extend a damaged range of hints.
                if family is NodeFamily.HINTS or there.within(extent.start, extent.stop):
                    return
        self._targets.fired(fault)
        trouble = world.trouble(machine.name)
        machine.damage.append(extent if family is NodeFamily.RECORDS else Range(b"", END))
        machine.disk.rot(family, rotten, fault.lasts)
        world.note(f"{machine.name} cannot read {rotten} of {family.value}")
        await world.until(lambda: not world.damaged(machine))
        trouble.end = world.loop.now

    async def _clock(self, fault: Fault) -> None:
        self._targets.fired(fault)
        seconds = (fault.amount - 0.5) * 2 * fault.lasts * (1000 if fault.fuse else 1)
        self._targets.machine(fault.one).clock.jump(seconds)
        await asyncio.sleep(0)

    def __repr__(self) -> str:
        return f"<Hardware in {self._world!r}>"
