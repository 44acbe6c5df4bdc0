"""Faults on a running cluster, and the wait until it has recovered."""

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

RECOVERY_CHECKS = 200
"""Checks until the recovery counts as failed, about 20 s.

A count and not a time, so that a machine that stands still does not fail the run. Too low: fails on
a busy machine. Too high: a lost recovery is noticed late.
"""
_CHECK_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault on one process; it stays down for `down_s` seconds."""

    phase: Phase
    name: str
    down_s: float


def plan(names: tuple[str, ...], rounds: int, rng: random.Random) -> list[Fault]:
    """Plan `rounds` rounds, each with every kind of fault on every node, in random order."""
    kinds = (Phase.KILL, Phase.STOP, Phase.PAUSE)
    faults = []
    for _ in range(rounds):
        faults += [Fault(kind, name, _outage(kind, rng)) for kind in kinds for name in names]
        faults.append(Fault(Phase.GATEWAY, "gateway", 0.2))
    rng.shuffle(faults)
    return faults


def _outage(kind: Phase, rng: random.Random) -> float:
    if kind is Phase.PAUSE and rng.random() < 0.5:
        # Some nodes do not notice so short a pause. The node continues in the middle of its work.
        return rng.uniform(0.02, 0.5)
    return rng.uniform(0.5, 2.5)


class Breaker:
    """Causes faults in a cluster under load and waits until it has recovered."""

    def __init__(
        self,
        cluster: Cluster,
        homes: Homes,
        journal: Journal,
        rush: Callable[[], Coroutine[Any, Any, None]],
        rng: random.Random,
    ) -> None:
        """Prepare the faults.

        Args:
            rush: makes many requests at once, so that each fault interrupts some.
        """
        self.healed: list[float] = []
        """Seconds from the return of each node to its recovery."""
        self._cluster = cluster
        self._homes = homes
        self._journal = journal
        self._rush = rush
        self._rng = rng

    async def do(self, fault: Fault) -> bool:
        """Cause a fault, end it, and wait; return whether the cluster has recovered in time."""
        self._journal.phase = fault.phase
        self._journal.faults[fault.phase] += 1
        rush = asyncio.create_task(self._rush())
        await asyncio.sleep(self._rng.uniform(0.0, 0.03))
        if fault.phase is Phase.PAUSE:
            await self._control("pause", fault.name)
            await asyncio.sleep(fault.down_s)
            await self._control("resume", fault.name)
        else:
            await self._control("stop" if fault.phase is Phase.STOP else "kill", fault.name)
            await asyncio.sleep(fault.down_s)
            await self._control("start", fault.name)
        await rush
        return await self.heal(fault.name)

    async def kill_all(self) -> None:
        """Send SIGKILL to every node at once, then start all again."""
        self._journal.phase = Phase.ALL
        self._journal.faults[Phase.ALL] += 1
        processes = (await asyncio.to_thread(ask, self._cluster.data, Request("list"))).processes
        for name in self._homes.ring.names:
            pid = processes[name].pid
            assert pid is not None
            self._journal.did(f"kill {name}")
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.5)
        await asyncio.gather(*(self._start(name) for name in self._homes.ring.names))
        await self.heal("all nodes")

    async def heal(self, returned_name: str) -> bool:
        """Wait until no hint waits and each partition had equal homes; return False on timeout."""
        returned = time.monotonic()
        unequal = set(range(PARTITIONS))
        for _ in range(RECOVERY_CHECKS):
            settled = await asyncio.to_thread(self._homes.settled)
            if settled:
                # Equal once is enough; writes continue and make the homes differ again for moments.
                unequal &= await asyncio.to_thread(self._homes.unequal)
                if not unequal:
                    self.healed.append(time.monotonic() - returned)
                    self._journal.phase = Phase.CALM
                    return True
            await asyncio.sleep(_CHECK_PAUSE_S)
        self._journal.violation(
            f"{time.monotonic() - returned:.0f} s after the return of {returned_name}: settled is"
            f" {settled}, and the homes of {len(unequal)} partitions were never equal"
        )
        return False

    async def _start(self, name: str) -> None:
        for _ in range(100):
            reply = await asyncio.to_thread(ask, self._cluster.data, Request("start", name))
            if reply.ok:
                return
            # The supervisor may not have noticed yet that the node has ended.
            await asyncio.sleep(_CHECK_PAUSE_S)
        raise AssertionError(reply.message)

    async def _control(self, action: str, name: str) -> None:
        self._journal.did(f"{action} {name}")
        reply = await asyncio.to_thread(ask, self._cluster.data, Request(action, name))
        assert reply.ok, reply.message

    def __repr__(self) -> str:
        return f"<Breaker after {self._journal.faults.total()} faults>"
