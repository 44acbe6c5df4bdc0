"""Faults of processes: deaths, lost disks, old disks and pauses."""

import asyncio

import msgspec

from ddb.node.membership.boots import BOOT, PEERS, BootRecord, Starts
from ddb.node.membership.identity import IDENTITY_KEY, Identity
from ddb.node.replica.ballots import CEILING_KEY
from ddb.node.replica.damage import COPIES
from ddb.node.storage.store import Family
from tests.sim.machines import Machine
from tests.sim.plan import Fault, FaultKind
from tests.sim.process import Process
from tests.sim.targets import Acts, Targets

_AT_WRITE = 0.6
"""A fault with a lower `amount` strikes at the next write to the node's disk."""


class Deaths:
    """Deaths and pauses of nodes and gateways."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._world = targets.world
        self.acts: Acts = {
            FaultKind.KILL: self._kill,
            FaultKind.POWER: self._power,
            FaultKind.BLACKOUT: self._blackout,
            FaultKind.DIES_TWICE: self._dies_twice,
            FaultKind.ROLLING: self._rolling,
            FaultKind.WIPE: self._wipe,
            FaultKind.IMAGE: self._image,
            FaultKind.OLD_DISK: self._old_disk,
            FaultKind.PAUSE: self._pause,
            FaultKind.GATEWAY: self._gateway,
            FaultKind.GATEWAY_PAUSE: self._gateway_pause,
        }

    async def _die(self, fault: Fault, machine: Machine, *, power: bool) -> None:
        """End a node's process after `fault.fuse` callbacks, and wait until it runs again.

        The callbacks count from now, or from the next write to the node's disk. Most bugs need a
        death shortly after a write.
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
        self._targets.end_trouble(trouble)

    async def _kill(self, fault: Fault) -> None:
        machine = self._targets.machine(fault.one)
        if machine.up:
            self._targets.fired(fault)
            await self._die(fault, machine, power=False)

    async def _power(self, fault: Fault) -> None:
        self._targets.fired(fault)
        await self._die(fault, self._targets.machine(fault.one), power=True)

    async def _blackout(self, fault: Fault) -> None:
        self._targets.fired(fault)
        world = self._world
        trouble = world.trouble()
        machine = self._targets.machine(fault.one)
        if fault.amount < _AT_WRITE and machine.up:
            # Shortly after a write, other nodes have it too, but perhaps not on their disks.
            struck: asyncio.Future[None] = world.loop.create_future()
            machine.disk.trap = lambda: struck.set_result(None)
            await asyncio.wait((struck,), timeout=0.5)
            machine.disk.trap = None
            await asyncio.sleep(0.002 * world.rng.random())
        for machine in world.machines.values():
            lasts = fault.lasts * (0.5 + world.rng.random())
            world.die(machine, power=True, lasts=lasts)
        await asyncio.sleep(1.5 * fault.lasts)
        self._targets.end_trouble(trouble)

    async def _dies_twice(self, fault: Fault) -> None:
        world, machine = self._world, self._targets.machine(fault.one)
        if not machine.up:
            return
        trouble = world.trouble(machine.name)
        world.die(machine, power=False, lasts=fault.lasts)
        await asyncio.sleep(fault.lasts + 0.0001)
        process = machine.process
        if process is not None and process.alive:
            self._targets.fired(fault)
            process.on_fuse = lambda: world.die(machine, power=True, lasts=fault.lasts)
            process.fuse = max(1, fault.fuse)
            await asyncio.sleep(fault.lasts)
        self._targets.end_trouble(trouble)

    async def _rolling(self, fault: Fault) -> None:
        self._targets.fired(fault)
        world = self._world
        trouble = world.trouble()
        for machine in world.machines.values():
            world.die(machine, power=fault.amount < 0.3, lasts=0.2 * fault.lasts)
            await asyncio.sleep(fault.lasts * (0.1 + world.rng.random() * 0.4))
        self._targets.end_trouble(trouble)

    async def _wipe(self, fault: Fault) -> None:
        """Lose a disk, unless another node still lacks data of its share."""
        world, machine = self._world, self._targets.machine(fault.one)
        others = [other for other in world.machines.values() if other is not machine]
        if not all(map(world.whole, others)) or not world.whole(machine):
            return
        if any(map(world.damaged, world.machines.values())):
            return
        self._targets.fired(fault)
        trouble = world.trouble(machine.name)
        world.die(machine, power=True, lasts=fault.lasts)
        machine.disk = world.disk(machine.name)
        machine.damage.clear()
        world.note(f"{machine.name} loses its disk")
        await asyncio.sleep(fault.lasts)
        self._targets.end_trouble(trouble)

    async def _image(self, fault: Fault) -> None:
        """Take an image of a disk that stores its share."""
        machine = self._targets.machine(fault.one)
        if self._world.whole(machine):
            self._targets.fired(fault)
            machine.image = machine.disk.image()

    async def _old_disk(self, fault: Fault) -> None:
        """Restore the image of a disk, unless another disk lacks its share.

        Each other node must have on its disk a proof that the image is old. No store can detect a
        current image, and the documents say so.
        """
        world, machine = self._world, self._targets.machine(fault.one)
        others = [other for other in world.machines.values() if other is not machine]
        image = machine.image
        if image is None or not all(map(world.whole, (*others, machine))):
            return
        present = machine.disk.image()
        if any(map(world.damaged, others)) and any(image[each] != present[each] for each in COPIES):
            # With the damage it would be two lost copies of a record.
            return
        identity = msgspec.json.decode(image[Family.META][IDENTITY_KEY], type=Identity)
        number = msgspec.msgpack.decode(image[Family.META][BOOT], type=Starts).number + 1
        ceiling = int.from_bytes(image[Family.META].get(CEILING_KEY, b""), "big")
        for other in others:
            found = other.disk.get(Family.META, PEERS)
            records = msgspec.msgpack.decode(found, type=dict[str, BootRecord]) if found else {}
            if not _provable(records.get(machine.name), identity.node_id, number, ceiling):
                return
        self._targets.fired(fault)
        trouble = world.trouble()
        world.die(machine, power=True, lasts=fault.lasts)
        machine.disk.put_back(image)
        machine.restored = identity.node_id
        world.note(f"{machine.name} gets an old image of its disk, of boot {number - 1}")
        await asyncio.sleep(fault.lasts)
        self._targets.end_trouble(trouble)

    async def _pause(self, fault: Fault) -> None:
        machine = self._targets.machine(fault.one)
        process = machine.process
        if process is not None and process.alive and not process.paused:
            self._targets.fired(fault)
            trouble = self._world.trouble(machine.name)
            await self._hold(process, fault)
            self._targets.end_trouble(trouble)

    async def _gateway_pause(self, fault: Fault) -> None:
        world = self._world
        gateway = self._targets.gateway(fault.one)
        if gateway.process.alive and not gateway.process.paused:
            self._targets.fired(fault)
            trouble = world.trouble()
            await self._hold(gateway.process, fault)
            self._targets.end_trouble(trouble)

    async def _hold(self, process: Process, fault: Fault) -> None:
        loop = self._world.loop
        loop.pause(process)
        await asyncio.sleep(fault.lasts)
        loop.resume(process)

    async def _gateway(self, fault: Fault) -> None:
        world = self._world
        index = fault.one % len(world.gateways)
        if self._targets.gateway(index).process.alive:
            self._targets.fired(fault)
            trouble = world.trouble()
            world.close_gateway(index)
            await asyncio.sleep(fault.lasts)
            world.open_gateway(index)
            self._targets.end_trouble(trouble)

    def __repr__(self) -> str:
        return f"<Deaths in {self._world!r}>"


def _provable(record: BootRecord | None, node_id: int, number: int, ceiling: int) -> bool:
    """Return whether a peer's record of a node proves its restored disk old.

    This does not use the rule of the production code, since that rule may have the bug.

    Args:
        number: the boot number with which the restored disk starts.
        ceiling: the counter that the restored disk has reserved.
    """
    if record is None:
        return False
    if node_id != record.node_id:
        return node_id in record.retired
    return number <= record.number or ceiling < record.reached
