"""Whoever breaks the cluster and puts it together again."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from ddb.local.control import Request, ask
from ddb.ring.ring import PARTITIONS
from tests.cluster import Cluster
from tests.faults.journal import Journal, Phase
from tests.system.homes import Homes

LOOKS = 200
"""How often it is looked whether all has healed, some 20 s; a machine that stands still meanwhile
does not count."""
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

    def __init__(
        self,
        cluster: Cluster,
        homes: Homes,
        journal: Journal,
        rush: Callable[[], Coroutine[Any, Any, None]],
        rng: random.Random,
    ) -> None:
        """`rush` makes many requests at once: every fault falls into the middle of some."""
        self.healed: list[float] = []
        """Seconds from each node's return to its having caught up."""
        self._cluster = cluster
        self._homes = homes
        self._journal = journal
        self._rush = rush
        self._rng = rng

    async def do(self, fault: Fault) -> bool:
        """One fault, the return, and the healing; whether it has healed."""
        self._journal.phase = fault.phase
        self._journal.faults[fault.phase] += 1
        rush = asyncio.create_task(self._rush())
        await asyncio.sleep(self._rng.uniform(0.0, 0.03))
        if fault.phase is Phase.PAUSE:
            await self._control("pause", fault.name)
            await asyncio.sleep(fault.out)
            await self._control("resume", fault.name)
        else:
            await self._control("stop" if fault.phase is Phase.STOP else "kill", fault.name)
            await asyncio.sleep(fault.out)
            await self._control("start", fault.name)
        await rush
        return await self.heal(fault.name)

    async def kill_all(self) -> None:
        """SIGKILL to every node within a moment, then all back."""
        self._journal.phase = Phase.ALL
        self._journal.faults[Phase.ALL] += 1
        processes = (await asyncio.to_thread(ask, self._cluster.data, Request("list"))).processes
        for name in self._homes.ring.names:
            pid = processes[name].pid
            assert pid is not None
            self._journal.did(f"kill {name}")
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.5)
        await asyncio.gather(*(self._back(name) for name in self._homes.ring.names))
        await self.heal("all nodes")

    async def heal(self, who: str) -> bool:
        """Whether no hint waits and the homes of each partition have been seen equal, in time."""
        returned = time.monotonic()
        unequal = set(range(PARTITIONS))
        for _ in range(LOOKS):
            settled = await asyncio.to_thread(self._homes.settled)
            if settled:
                # Seen equal once is enough, and all that can be had while writes go on.
                unequal &= await asyncio.to_thread(self._homes.unequal)
                if not unequal:
                    self.healed.append(time.monotonic() - returned)
                    self._journal.phase = Phase.CALM
                    return True
            await asyncio.sleep(_LOOK_EVERY)
        self._journal.violation(
            f"{time.monotonic() - returned:.0f} s after the return of {who}: settled is {settled},"
            f" and the homes of {len(unequal)} partitions have not been seen equal"
        )
        return False

    async def _back(self, name: str) -> None:
        for _ in range(100):
            reply = await asyncio.to_thread(ask, self._cluster.data, Request("start", name))
            if reply.ok:
                return
            # The supervisor may not have noticed the end yet.
            await asyncio.sleep(_LOOK_EVERY)
        raise AssertionError(reply.message)

    async def _control(self, action: str, name: str) -> None:
        self._journal.did(f"{action} {name}")
        reply = await asyncio.to_thread(ask, self._cluster.data, Request(action, name))
        assert reply.ok, reply.message

    def __repr__(self) -> str:
        return f"<Breaker after {self._journal.faults.total()} faults>"
