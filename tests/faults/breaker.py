"""Whoever breaks the cluster and puts it together again."""

import asyncio
import os
import random
import signal
import time
from dataclasses import dataclass

from ddb.local.control import Request, ask
from ddb.ring.ring import PARTITIONS
from tests.cluster import Cluster
from tests.faults.journal import Journal, Phase
from tests.system.homes import Homes

HEALS_WITHIN = 20.0
"""Seconds from a node's return to no hint waiting and equal homes, under load."""
_LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to whom, and for how long it stays out."""

    phase: Phase
    name: str
    out: float


def plan(names: tuple[str, ...], rounds: int, rng: random.Random) -> list[Fault]:
    """Every kind of fault on every node `rounds` times, and as often the gateway, in any order."""
    kinds = (Phase.KILL, Phase.STOP, Phase.PAUSE)
    faults = []
    for _ in range(rounds):
        faults += [Fault(kind, name, _outage(kind, rng)) for kind in kinds for name in names]
        faults.append(Fault(Phase.GATEWAY, "gateway", 0.2))
    rng.shuffle(faults)
    return faults


def _outage(kind: Phase, rng: random.Random) -> float:
    if kind is Phase.PAUSE and rng.random() < 0.5:
        # Too short to be noticed by all: it wakes up in the middle of what it was doing.
        return rng.uniform(0.02, 0.5)
    return rng.uniform(0.5, 2.5)


class Breaker:
    """Does faults to a cluster under load and waits until it has healed."""

    def __init__(self, cluster: Cluster, homes: Homes, journal: Journal) -> None:
        self.healed: list[float] = []
        """Seconds from each node's return to its having caught up."""
        self._cluster = cluster
        self._homes = homes
        self._journal = journal

    async def do(self, fault: Fault) -> None:
        """One fault, the return, and the healing."""
        self._journal.phase = fault.phase
        self._journal.faults[fault.phase] += 1
        if fault.phase is Phase.PAUSE:
            await self._control("pause", fault.name)
            await asyncio.sleep(fault.out)
            await self._control("resume", fault.name)
        else:
            await self._control("stop" if fault.phase is Phase.STOP else "kill", fault.name)
            await asyncio.sleep(fault.out)
            await self._control("start", fault.name)
        await self.heal(fault.name)

    async def kill_all(self) -> None:
        """SIGKILL to every node within a moment, then all back."""
        self._journal.phase = Phase.ALL
        self._journal.faults[Phase.ALL] += 1
        processes = (await asyncio.to_thread(ask, self._cluster.data, Request("list"))).processes
        for name in self._homes.ring.names:
            pid = processes[name].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.5)
        await asyncio.gather(*(self._back(name) for name in self._homes.ring.names))
        await self.heal("all nodes")

    async def heal(self, who: str) -> None:
        """Wait until no hint waits and the homes of each partition have been seen equal."""
        returned = time.monotonic()
        unequal = set(range(PARTITIONS))
        while True:
            settled = await asyncio.to_thread(self._homes.settled)
            if settled:
                # Seen equal once is enough, and all that can be had while writes go on.
                unequal &= await asyncio.to_thread(self._homes.unequal)
                if not unequal:
                    break
            if time.monotonic() - returned > HEALS_WITHIN:
                self._journal.violation(
                    f"{HEALS_WITHIN:.0f} s after the return of {who}: settled is {settled}, and"
                    f" the homes of {len(unequal)} partitions have not been seen equal"
                )
                break
            await asyncio.sleep(_LOOK_EVERY)
        self.healed.append(time.monotonic() - returned)
        self._journal.phase = Phase.CALM

    async def _back(self, name: str) -> None:
        for _ in range(100):
            reply = await asyncio.to_thread(ask, self._cluster.data, Request("start", name))
            if reply.ok:
                return
            # The supervisor may not have noticed the end yet.
            await asyncio.sleep(_LOOK_EVERY)
        raise AssertionError(reply.message)

    async def _control(self, action: str, name: str) -> None:
        reply = await asyncio.to_thread(ask, self._cluster.data, Request(action, name))
        assert reply.ok, reply.message

    def __repr__(self) -> str:
        return f"<Breaker after {self._journal.faults.total()} faults>"
