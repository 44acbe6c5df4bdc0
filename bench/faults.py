"""The fault: a node is killed, returns and receives its hints."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import cast

import uvloop

from bench.keys import Keys
from bench.paced import Pacer, Second
from bench.rounds import Log
from bench.targets.ddb import Ddb
from bench.targets.target import TargetFailed
from bench.users import User
from bench.workload import Operation, plan, rewrite
from bench.wrk import LOADING_CONNECTIONS, Wrk
from ddb.wire.status_client import ask_status

VICTIM = "db-1"
FULL_LOAD_S = 3
"""Duration of each run that finds the highest rate. Shorter: the rate varies more."""
PHASE_S = 6.0
"""Duration of a phase without an end of its own. Shorter: the p99 covers fewer seconds."""
HANDOFF_TIMEOUT_S = 180.0
"""Time for the handoff of all hints.

Shorter: a slow machine ends the benchmark. Longer: a handoff that hangs is reported later.
"""
POLL_S = 0.1
"""Pause between two counts of hints.

Shorter: the counts take CPU from the handoff. Longer: the handoff time is less precise.
"""
SERIAL_WIDTH = 9
"""Digits of a serial number. The requests here have none."""


class Phase(Enum):
    """A phase of the round."""

    BEFORE = "before"
    KILLED = "node killed"
    DOWN = "node down, hints stored"
    HANDOFF = "node returned, handoff"
    AFTER = "after"


@dataclass(slots=True)
class Fault:
    """The figures of one fault."""

    rate: float = 0.0
    """Requests per second, half GET and half PUT: half of the system's highest rate."""
    timeline: list[tuple[Phase, Second]] = field(default_factory=list)
    hints: int = 0
    """Hints on all nodes when the killed node returned under load."""
    handoff_s: float = 0.0
    """Seconds from the first hint that a home took to the last, under load."""
    idle_hints: int = 0
    """Like `hints`, without load."""
    idle_handoff_s: float = 0.0
    """Like `handoff_s`, without load."""

    def slowest(self, phase: Phase) -> float:
        """Return the longest latency of a phase, in seconds."""
        return max((second.slowest for at, second in self.timeline if at is phase), default=0.0)

    def failures(self) -> int:
        """Return the number of refused and unanswered requests."""
        return sum(second.refused + second.broken for _, second in self.timeline)

    def p99(self, phase: Phase) -> float:
        """Return the 99th percentile of a phase's latencies, in seconds."""
        merged = Second(0)
        for at, second in self.timeline:
            if at is phase:
                merged.latencies += second.latencies
        return merged.percentile(0.99)


class FaultRound:
    """One fault on a loaded cluster. All nodes are up again afterwards."""

    def __init__(self, target: Ddb, users: list[User], hints: int, log: Log) -> None:
        """Prepare the fault.

        Args:
            target: The running cluster.
            users: The users that the cluster stores.
            hints: The approximate number of hints to make. On three nodes that takes 1.5 times as
                many users; fewer users make fewer hints.
            log: Takes each line of progress.
        """
        self._target = target
        self._users = users
        self._wanted = hints
        self._log = log
        self._wrk = Wrk.find()
        self._fault = Fault()
        self._nodes = self._addresses()

    def run(self) -> Fault:
        """Run the fault and return its figures. Raises `TargetFailed` and `WrkError`."""
        requests = self._requests()
        self._fault.rate = self._highest_rate() / 2
        uvloop.run(self._act_under_load(requests, Phase.BEFORE, self._kill))
        self._make_hints(self._wanted, seed=1)
        self._fault.hints = uvloop.run(self._count_hints())
        self._log(f"{self._fault.hints:,} hints stored; {VICTIM} returns under load")
        self._fault.handoff_s = uvloop.run(self._handoff_under_load(requests))
        self._repeat_without_load()
        return self._fault

    def _repeat_without_load(self) -> None:
        """Kill the node again and time the handoff of half as many hints without load."""
        self._target.cluster.do("kill", VICTIM)
        self._make_hints(self._wanted // 2, seed=2)
        self._fault.idle_hints = uvloop.run(self._count_hints())
        self._log(f"{self._fault.idle_hints:,} hints stored; {VICTIM} returns without load")
        self._target.cluster.do("start", VICTIM)
        self._fault.idle_handoff_s = uvloop.run(self._wait_for_handoff())

    def _requests(self) -> list[bytes]:
        dialect = self._target.dialect
        plans = [
            plan(dialect, operation, Keys.UNIFORM, self._users, [], seed=9)
            for operation in (Operation.GET, Operation.PUT)
        ]
        pairs = zip(plans[0].calls, reversed(plans[1].calls), strict=True)
        return [call.encode(self._target.host, SERIAL_WIDTH) for pair in pairs for call in pair]

    def _highest_rate(self) -> float:
        """Return the highest rate of half GET, half PUT.

        It is the harmonic mean of the rate of GET alone and that of PUT alone.
        """
        rates = [
            self._wrk.run(
                plan(self._target.dialect, operation, Keys.UNIFORM, self._users, [], seed=9),
                self._target.host,
                FULL_LOAD_S,
            ).rate
            for operation in (Operation.GET, Operation.PUT)
        ]
        return 2 / sum(1 / rate for rate in rates)

    def _make_hints(self, hints: int, seed: int) -> None:
        """Change users until about `hints` hints exist.

        Of N nodes, the dead one is a home of 2/N of the users.
        """
        share = 2 / len(self._nodes)
        users = self._users[: min(len(self._users), int(hints / share))]
        for start in range(0, len(users), 100_000):
            part = users[start : start + 100_000]
            changes = rewrite(self._target.dialect, part, seed)
            done = self._wrk.run(changes, self._target.host, connections=LOADING_CONNECTIONS)
            if done.broken or done.refused > len(part) // 100:
                raise TargetFailed(f"too many failures in {len(part)} changes, a node down: {done}")

    async def _act_under_load(
        self, requests: list[bytes], first: Phase, act: Callable[[], None]
    ) -> None:
        """Send requests for `PHASE_S` before `act`, and for `PHASE_S` after it."""
        pacer, stop = Pacer(self._target.host, requests, self._fault.rate), asyncio.Event()
        running = asyncio.ensure_future(pacer.run(stop))
        await asyncio.sleep(PHASE_S)
        marks = [(0.0, first), (pacer.now(), Phase.KILLED)]
        await asyncio.to_thread(act)
        await asyncio.sleep(PHASE_S)
        stop.set()
        await running
        self._record(pacer, marks)

    async def _handoff_under_load(self, requests: list[bytes]) -> float:
        pacer, stop = Pacer(self._target.host, requests, self._fault.rate), asyncio.Event()
        running = asyncio.ensure_future(pacer.run(stop))
        await asyncio.sleep(PHASE_S / 2)
        marks = [(0.0, Phase.DOWN), (pacer.now(), Phase.HANDOFF)]
        await asyncio.to_thread(self._target.cluster.do, "start", VICTIM)
        took = await self._wait_for_handoff()
        marks.append((pacer.now(), Phase.AFTER))
        await asyncio.sleep(PHASE_S / 2)
        stop.set()
        await running
        self._record(pacer, marks)
        return took

    def _record(self, pacer: Pacer, marks: list[tuple[float, Phase]]) -> None:
        for second in pacer.seconds:
            # A second in which a phase begins belongs to that phase.
            phase = next(phase for at, phase in reversed(marks) if at < second.number + 1)
            self._fault.timeline.append((phase, second))

    def _kill(self) -> None:
        self._target.cluster.do("kill", VICTIM)

    async def _wait_for_handoff(self) -> float:
        """Return the seconds of the handoff, from first to last hint. Raises `TargetFailed`."""
        most, began = await self._count_hints(), time.monotonic()
        deadline = began + HANDOFF_TIMEOUT_S
        while (left := await self._count_hints()) > 0:
            if left >= most:
                most, began = left, time.monotonic()
            if time.monotonic() > deadline:
                raise TargetFailed(
                    f"{left:,} hints remain {HANDOFF_TIMEOUT_S:.0f} s after the return of {VICTIM}"
                )
            await asyncio.sleep(POLL_S)
        return time.monotonic() - began

    async def _count_hints(self) -> int:
        """Return the number of hints on all nodes that reply."""
        total = 0
        for host, port in self._nodes:
            try:
                status = await ask_status(host, port, 2.0)
            except (OSError, TimeoutError):
                continue
            total += sum(each["count"] for each in cast("list[dict[str, int]]", status["hints"]))
        return total

    def _addresses(self) -> list[tuple[str, int]]:
        nodes = cast("list[dict[str, str]]", self._target.cluster.status()["nodes"])
        pairs = [node["address"].rpartition(":") for node in nodes]
        return [(host, int(port)) for host, _, port in pairs]
