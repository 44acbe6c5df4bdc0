"""Admission: how many operations this gateway has in flight, and what waits before them.

Beyond what the nodes can serve, more operations in flight add no throughput: they only grow older.
So an operation waits here, where waiting costs a future and a timer, and is refused here, before
anything is done. Changes of one record have a bound of their own, so that a hot record fills
neither its coordinator's queue nor the gateway. LIST and COUNT have another.
"""

import asyncio
import random
from collections import deque

from ddb.wire.ports import Clock
from ddb.wire.timeouts import Timeouts

MOST_PER_RECORD = 16
"""Changes of one record in flight. Too low: while its first home is silent few of them get to know
that. Too high: they wait for their turn at the coordinator for longer than a node may be silent."""
SCANS_AT_ONCE = 2
"""LIST and COUNT in flight. Too low: one that waits for a silent node holds up the others. Too
high: each takes the loop for a millisecond at a time, and GET and PUT wait behind them all."""
MOST_WAITING = 4096
"""Operations that wait at one gate. Too low: a burst is refused that could be served. Too high:
they take memory, some 2 KiB each."""
FEWEST = 64
"""Operations in flight at least. Too low: group commit flushes for few changes at a time."""
MOST = 1024
"""Operations in flight at most."""
FIRST = 128
SLOW = 0.25
"""Share of the budget that an operation takes on average, from where on fewer are admitted."""
QUICK = 0.15
"""The same up to which more are admitted. Too near to `SLOW`: the limit never settles."""
WINDOW_S = 0.05
"""Seconds between changes of the limit. Too low: chance decides. Too high: it comes late."""
ENOUGH = 16
"""Operations from which a mean is taken."""
PROBE_EVERY_S = 0.01
"""Seconds between measurements of the loop's delay. Too low: it costs CPU time."""
EARLIEST = 0.75
"""Waits end after this share of the longest wait, or later by chance. At 1, clients that come back
at once would be refused all in one moment, again and again."""


class Limit:
    """How many operations may be in flight, by how long they take. Pure."""

    def __init__(self, budget_s: float) -> None:
        self.most = FIRST
        self._budget_s = budget_s
        self._ends = 0.0
        self._count = 0
        self._total_s = 0.0

    def learn(self, now: float, took_s: float, crowded: bool) -> None:
        """An operation took so long. `crowded`: others waited to be admitted meanwhile."""
        self._count += 1
        self._total_s += took_s
        if now < self._ends or self._count < ENOUGH:
            return
        mean = self._total_s / self._count / self._budget_s
        self._count, self._total_s, self._ends = 0, 0.0, now + WINDOW_S
        if mean > SLOW:
            self.most = max(FEWEST, self.most * 9 // 10)
        elif mean < QUICK and crowded:
            self.most = min(MOST, self.most + self.most // 10)

    def __repr__(self) -> str:
        return f"<Limit {self.most}>"


class Gate:
    """Places for `most` operations, and a queue of those that wait for one."""

    __slots__ = ("_waiting", "inside", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.inside = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def enter(self) -> bool:
        """Take a place if one is free and no operation waits for it; `leave` must follow."""
        if self.inside >= self.most or self._waiting:
            return False
        self.inside += 1
        return True

    async def wait(self, seconds: float) -> bool:
        """Wait for a place in order of arrival; whether one came in time."""
        if seconds <= 0.0 or len(self._waiting) >= MOST_WAITING:
            return False
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(mine)
        timer = loop.call_later(seconds, _expire, mine)
        try:
            return await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled() and mine.result():
                # The place came together with the cancellation: the next one gets it.
                self.leave()
            raise
        finally:
            timer.cancel()
            while self._waiting and self._waiting[0].done():
                self._waiting.popleft()

    def leave(self) -> None:
        """Give a place back."""
        self.inside -= 1
        while self._waiting and self.inside < self.most:
            first = self._waiting.popleft()
            if not first.done():
                self.inside += 1
                first.set_result(True)

    def __repr__(self) -> str:
        return f"<Gate {self.inside} of {self.most}, {len(self._waiting)} waiting>"


class Admission:
    """Admits operations to the nodes.

    The fast way in costs no coroutine: `points.enter()`, and `queue` only where that fails.
    """

    def __init__(self, clock: Clock, timeouts: Timeouts, rng: random.Random) -> None:
        self.limit = Limit(timeouts.request_s)
        self.points = Gate(self.limit.most)
        """Operations on single records."""
        self.scans = Gate(SCANS_AT_ONCE)
        """LIST and COUNT."""
        self._clock = clock
        self._timeouts = timeouts
        self._rng = rng
        self._records: dict[bytes, Gate] = {}
        self._delay_s = 0.0
        self._probing = False
        self._due = 0.0

    def arrived(self) -> float:
        """When the request that the gateway handles now arrived: it may have lain in a socket."""
        now = self._clock.now()
        if not self._probing:
            self._probing = True
            self._probe_at(now + PROBE_EVERY_S)
        return now - self._delay_s

    async def queue(self, gate: Gate, arrived: float) -> float | None:
        """Wait for a place; the moment it came, None where it did not come in time."""
        longest = self._timeouts.admission_s * self._rng.uniform(EARLIEST, 1.0)
        if not await gate.wait(arrived + longest - self._clock.now()):
            return None
        return self._clock.now()

    def leave(self, admitted: float) -> None:
        """An operation on a record, admitted at that moment, has ended."""
        now, points = self._clock.now(), self.points
        self.limit.learn(now, now - admitted, points.waiting > 0)
        points.most = self.limit.most
        points.leave()

    def record(self, key: bytes) -> Gate:
        """The gate of changes of one record."""
        gate = self._records.get(key)
        if gate is None:
            gate = self._records[key] = Gate(MOST_PER_RECORD)
        return gate

    def leave_record(self, key: bytes, gate: Gate) -> None:
        """A change has left this gate: it goes with the last one."""
        if not gate.inside and not gate.waiting and self._records.get(key) is gate:
            del self._records[key]

    def _probe_at(self, due: float) -> None:
        self._due = due
        asyncio.get_running_loop().call_later(PROBE_EVERY_S, self._probe)

    def _probe(self) -> None:
        """Measure by how much the loop is late, while there is something to do."""
        now = self._clock.now()
        if self.points.inside or self.points.waiting or self.scans.inside:
            self._delay_s = min(max(0.0, now - self._due), self._timeouts.admission_s)
            self._probe_at(now + PROBE_EVERY_S)
        else:
            self._delay_s, self._probing = 0.0, False

    def __repr__(self) -> str:
        return f"<Admission {self.points!r}, {self.scans!r}, {len(self._records)} records>"


def _expire(waiting: asyncio.Future[bool]) -> None:
    if not waiting.done():
        waiting.set_result(False)
