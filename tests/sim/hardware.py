"""Faults of disks and clocks."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from ddb.node.replica.damage import COPIES, Range
from ddb.node.storage.store import Family as NodeFamily
from ddb.record.codec import NEWEST, is_live, peek
from ddb.ring.ring import END
from tests.sim.machines import Machine
from tests.sim.plan import Fault, FaultKind
from tests.sim.targets import Acts, Targets

_HINTS = 0.7
"""A bad block with a higher `amount` is among hints, one with a lower among home copies."""
_REBUILD_WAIT_S = 5.0
"""Virtual seconds for which a bad block counts as a fault that goes on.

Too low: fewer faults meet a rebuild. Too high: a run takes hours where a rebuild's messages are all
late. The liveness phase has shipped timeouts, and waits for the rebuild.
"""


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
            FaultKind.BAD_ROW: self._bad_row,
            FaultKind.BAD_BODY: self._bad_body,
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
        machine = self._targets.machine(fault.one)
        found = self._rows(fault, machine, 1 + fault.fuse % 4)
        if found is not None:
            family, rotten, extent = found
            machine.disk.rot(family, rotten, fault.lasts)
            self._left(self._damaged(fault, machine, family, extent, f"cannot read {rotten}"))
            await asyncio.sleep(0)
            world, malformed = self._world, machine.disk.rots.malformed
            await world.until(
                lambda: not world.damaged(machine) or bool(malformed) or world.blocked(),
                _REBUILD_WAIT_S,
            )

    async def _bad_row(self, fault: Fault) -> None:
        """Cut one row short, unless another copy of it is damaged."""
        machine = self._targets.machine(fault.one)
        found = self._rows(fault, machine, 1)
        if found is not None and not machine.disk.writes(found[0], found[1][0]):
            family, (key,), extent = found
            self._spoil(machine, family, key, 1 + fault.fuse % (NEWEST.stop - 1))
            self._left(self._damaged(fault, machine, family, extent, f"has a bad row {key!r}"))

    async def _bad_body(self, fault: Fault) -> None:
        """Cut the body of a live record short."""
        machine = self._targets.machine(fault.one)
        found = self._rows(fault, machine, 1)
        if found is None or machine.disk.writes(found[0], found[1][0]):
            return
        family, (key,), extent = found
        raw = machine.disk.durable(family)[key]
        if is_live(raw):
            self._spoil(machine, family, key, len(raw) - 1)
            self._left(self._damaged(fault, machine, family, extent, f"has a bad body {key!r}"))

    def _left(self, damaged: Coroutine[Any, Any, None]) -> None:
        """Leave damage until the node has rebuilt it.

        A malformed row has to wait for a read of it, perhaps until after the safety phase.
        """
        self._world.loop.spawn(self._world.loop.root, damaged)

    def _spoil(self, machine: Machine, family: NodeFamily, key: bytes, length: int) -> None:
        """Cut a durable row to `length` bytes."""
        raw = machine.disk.durable(family)[key][:length]
        machine.disk.spoil(family, key, raw)
        if machine.up and machine.store is not None:
            machine.store.spoil(family, key, raw)

    async def _damaged(
        self, fault: Fault, machine: Machine, family: NodeFamily, extent: Range, how: str
    ) -> None:
        """Note the damage of an extent, and wait until the node has rebuilt it."""
        world = self._world
        self._targets.fired(fault)
        trouble = world.trouble(machine.name)
        machine.damage.append(extent if family is NodeFamily.RECORDS else Range(b"", END))
        world.note(f"{machine.name} {how} of {family.value}")
        await world.until(lambda: not world.damaged(machine) or world.blocked())
        if not world.damaged(machine):
            trouble.end = world.loop.now

    def _rows(
        self, fault: Fault, machine: Machine, most: int
    ) -> tuple[NodeFamily, list[bytes], Range] | None:
        """Return the adjacent rows that a fault damages and their extent, None where it may not.

        No other damage may overlap the extent. While some disk lacks its share, each row needs a
        copy on a third disk. The cluster does not survive two lost copies of three.
        """
        world = self._world
        family = NodeFamily.HINTS if fault.amount > _HINTS else NodeFamily.RECORDS
        keys = sorted(machine.disk.durable(family))
        if not keys:
            return None
        at = int(1e6 * fault.amount) % len(keys)
        rows = keys[at : at + most]
        if not machine.disk.rots.malformed.isdisjoint((family, key) for key in rows):
            return None
        extent = Range(
            keys[at - 1] if at else b"",
            keys[at + len(rows)] if at + len(rows) < len(keys) else END,
        )
        for other in world.machines.values():
            for there in world.damaged(other) if other is not machine else ():
                # A standby drops hints, which may extend a damaged range of hints.
                if family is NodeFamily.HINTS or there.within(extent.start, extent.stop):
                    return None
        whole = [other for other in world.machines.values() if world.whole(other)]
        if machine not in whole:
            # A blank disk repeats its refill. An outdated one may have the last good copies.
            return (family, rows, extent) if world.blank(machine) else None
        if len(whole) < len(world.machines) and not all(
            _elsewhere(machine, family, key, whole) for key in rows
        ):
            return None
        return family, rows, extent

    async def _clock(self, fault: Fault) -> None:
        self._targets.fired(fault)
        seconds = (fault.amount - 0.5) * 2 * fault.lasts * (1000 if fault.fuse else 1)
        self._targets.machine(fault.one).clock.jump(seconds)
        await asyncio.sleep(0)

    def __repr__(self) -> str:
        return f"<Hardware in {self._world!r}>"


def _elsewhere(machine: Machine, family: NodeFamily, key: bytes, whole: list[Machine]) -> bool:
    """Whether another whole disk has a state of a record at least as new as this node's."""
    if machine.disk.writes(family, key):
        return False
    newest = peek(machine.disk.durable(family)[key])
    return any(
        peek(raw) >= newest
        for other in whole
        if other is not machine and other.disk.rots.none
        for each in COPIES
        if (raw := other.disk.get(each, key))
    )
