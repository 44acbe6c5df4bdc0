"""A node is killed, stays away, returns and is given its hints: what clients see, by second."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import cast

import uvloop

from bench.keys import Keys
from bench.paced import Pacer, Second
from bench.rounds import Say
from bench.targets.ddb import Ddb
from bench.targets.target import Failed
from bench.users import User
from bench.workload import Operation, plan, rewrite
from bench.wrk import CROWD, Wrk
from ddb.wire.status import ask_status

VICTIM = "db-1"
MAXIMUM = 3
"""Seconds to find the rate that the system can do."""
QUIET = 6.0
"""Seconds of each phase that has no end of its own."""
DRAINING = 180.0
"""Seconds to wait for the last hint at most."""
LOOK = 0.1
"""Seconds between looks at how many hints wait."""
WIDTH = 9
"""Of a serial number; none is used here."""


class Phase(Enum):
    """Where the round is."""

    BEFORE = "before"
    KILLED = "killed, down"
    DOWN = "down, hints waiting"
    DRAINING = "returning, draining"
    AFTER = "after"


@dataclass(slots=True)
class Fault:
    """What a round of one fault gave."""

    rate: float = 0.0
    """Requests a second, half GET and half PUT: half of what the system can do."""
    timeline: list[tuple[Phase, Second]] = field(default_factory=list)
    hints: int = 0
    """How many waited when the node came back."""
    drained_in: float = 0.0
    """Seconds from the first hint that went to the last, under load."""
    idle_hints: int = 0
    idle_drained_in: float = 0.0
    """The same without load."""

    def worst(self, phase: Phase) -> float:
        """The longest answer of a phase, in seconds."""
        return max((second.worst for at, second in self.timeline if at is phase), default=0.0)

    def bad(self) -> int:
        """Requests that were refused or got no answer."""
        return sum(second.refused + second.broken for _, second in self.timeline)

    def p99(self, phase: Phase) -> float:
        """The 99th percentile of a phase, in seconds."""
        together = Second(0)
        for at, second in self.timeline:
            if at is phase:
                together.latencies += second.latencies
        return together.percentile(0.99)


class FaultRound:
    """One fault on a loaded cluster; it is whole again afterwards."""

    def __init__(self, target: Ddb, users: list[User], hints: int, say: Say) -> None:
        """`hints`: about how many shall wait; as many users are enough for two thirds of it."""
        self._target = target
        self._users = users
        self._wanted = hints
        self._say = say
        self._wrk = Wrk.find()
        self._fault = Fault()
        self._nodes = self._addresses()

    def run(self) -> Fault:
        """Do it. Raises Failed, and WrkError."""
        wires = self._wires()
        self._fault.rate = self._maximum() / 2
        uvloop.run(self._paced(wires, Phase.BEFORE, self._kill))
        self._bulk(self._wanted, seed=1)
        self._fault.hints = uvloop.run(self._waiting())
        self._say(f"{self._fault.hints:,} hints wait; the node returns under load")
        self._fault.drained_in = uvloop.run(self._drained_under_load(wires))
        self._idle()
        return self._fault

    def _idle(self) -> None:
        self._target.cluster.do("kill", VICTIM)
        self._bulk(self._wanted // 2, seed=2)
        self._fault.idle_hints = uvloop.run(self._waiting())
        self._say(f"{self._fault.idle_hints:,} hints wait; the node returns to an idle cluster")
        self._target.cluster.do("start", VICTIM)
        self._fault.idle_drained_in = uvloop.run(self._drain())

    def _wires(self) -> list[bytes]:
        dialect = self._target.dialect
        plans = [
            plan(dialect, operation, Keys.UNIFORM, self._users, [], seed=9)
            for operation in (Operation.GET, Operation.PUT)
        ]
        pairs = zip(plans[0].calls, reversed(plans[1].calls), strict=True)
        return [call.wire(self._target.host, WIDTH) for pair in pairs for call in pair]

    def _maximum(self) -> float:
        """Half GET, half PUT: the harmonic mean of both rates."""
        rates = [
            self._wrk.run(
                plan(self._target.dialect, operation, Keys.UNIFORM, self._users, [], seed=9),
                self._target.host,
                MAXIMUM,
            ).rate
            for operation in (Operation.GET, Operation.PUT)
        ]
        return 2 / sum(1 / rate for rate in rates)

    def _bulk(self, hints: int, seed: int) -> None:
        """Change as many users as leave so many hints: those with the node for a home."""
        share = 2 / len(self._nodes)
        users = self._users[: min(len(self._users), int(hints / share))]
        for start in range(0, len(users), 100_000):
            part = users[start : start + 100_000]
            changes = rewrite(self._target.dialect, part, seed)
            done = self._wrk.run(changes, self._target.host, connections=CROWD)
            if done.broken or done.refused > len(part) // 100:
                raise Failed(f"changing {len(part)} users with a node down went wrong: {done}")

    async def _paced(self, wires: list[bytes], first: Phase, act: Callable[[], None]) -> None:
        """A quiet time, the act, and a quiet time again."""
        pacer, stop = Pacer(self._target.host, wires, self._fault.rate), asyncio.Event()
        running = asyncio.ensure_future(pacer.run(stop))
        await asyncio.sleep(QUIET)
        marks = [(0.0, first), (pacer.now(), Phase.KILLED)]
        await asyncio.to_thread(act)
        await asyncio.sleep(QUIET)
        stop.set()
        await running
        self._keep(pacer, marks)

    async def _drained_under_load(self, wires: list[bytes]) -> float:
        pacer, stop = Pacer(self._target.host, wires, self._fault.rate), asyncio.Event()
        running = asyncio.ensure_future(pacer.run(stop))
        await asyncio.sleep(QUIET / 2)
        marks = [(0.0, Phase.DOWN), (pacer.now(), Phase.DRAINING)]
        await asyncio.to_thread(self._target.cluster.do, "start", VICTIM)
        took = await self._drain()
        marks.append((pacer.now(), Phase.AFTER))
        await asyncio.sleep(QUIET / 2)
        stop.set()
        await running
        self._keep(pacer, marks)
        return took

    def _keep(self, pacer: Pacer, marks: list[tuple[float, Phase]]) -> None:
        for second in pacer.seconds:
            # A second in which something happens belongs to what happens.
            phase = next(phase for at, phase in reversed(marks) if at < second.number + 1)
            self._fault.timeline.append((phase, second))

    def _kill(self) -> None:
        self._target.cluster.do("kill", VICTIM)

    async def _drain(self) -> float:
        """Seconds from the first hint that goes to the last. Raises Failed."""
        most, began = await self._waiting(), time.monotonic()
        deadline = began + DRAINING
        while (left := await self._waiting()) > 0:
            if left >= most:
                most, began = left, time.monotonic()
            if time.monotonic() > deadline:
                raise Failed(f"{left:,} hints still wait {DRAINING:.0f} s after the node's return")
            await asyncio.sleep(LOOK)
        return time.monotonic() - began

    async def _waiting(self) -> int:
        """Hints on all nodes that can be asked."""
        total = 0
        for host, port in self._nodes:
            try:
                facts = await ask_status(host, port, 2.0)
            except (OSError, TimeoutError):
                continue
            total += sum(each["count"] for each in cast("list[dict[str, int]]", facts["hints"]))
        return total

    def _addresses(self) -> list[tuple[str, int]]:
        nodes = cast("list[dict[str, str]]", self._target.cluster.status()["nodes"])
        pairs = [node["address"].rpartition(":") for node in nodes]
        return [(host, int(port)) for host, _, port in pairs]
