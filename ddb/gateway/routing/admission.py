"""Admission: how many operations this gateway has in flight, and how the others wait.

More operations than the nodes can serve add latency and no throughput. So an operation waits here,
for the cost of a future and a timer, or is refused here, before it starts.

Changes of one record have their own limit. So a hot record fills neither its coordinator's queue
nor the gateway. LIST and COUNT have another limit.
"""

import asyncio
import random
from collections import OrderedDict, deque
from dataclasses import dataclass

from ddb.wire.ports import Clock
from ddb.wire.timeouts import Timeouts

MOST_WAITING = 4096
"""Operations that wait at one gate. Too low: a burst is refused that could be served. Too high:
they take memory, some 2 KiB each."""
SLOW = 0.3
"""A limit falls once operations take more than this share of the budget, on average."""
QUICK = 0.2
"""A limit may rise while they take less than this share. Too near to `SLOW`: it never settles."""
REFUSED_PER_ANSWER = 1.0
REFUSED_PER_S = 300.0
"""Refusals for each answer, and in each second besides. Too low: refusals come late. Too high: they
take the gateway's time from the operations in flight."""
MOST_CREDIT = 64.0
"""Most refusals that are saved up. Too low: refusals wait although the gateway has time."""
TICK_S = 0.01
"""Seconds between checks of the refusals that wait for their pace."""
STEEPEST = 0.5
"""Least share of a limit that is left after one change."""
WINDOW_S = 0.05
"""Seconds between changes of a limit. Too low: chance decides. Too high: it comes late."""
ENOUGH = 8
"""Fewest operations whose mean may change a limit. Too low: chance decides."""
PROBE_EVERY_S = 0.01
"""Seconds between measurements of the loop's delay. Too low: it costs CPU time."""
EARLIEST = 0.75
"""Each wait ends at a random time between this share of the longest wait and all of it. At 1,
clients that return at once would be refused all in one moment, again and again."""


@dataclass(frozen=True, slots=True)
class Range:
    """Where a limit begins, and between what it stays."""

    fewest: int
    first: int
    most: int


POINTS = Range(32, 128, 1024)
"""Operations on single records in flight. Too few: group commit flushes for few changes at a time.
Too many: they only grow older."""
OF_ONE_RECORD = Range(2, 16, 16)
"""Changes of one record in flight. Too few: the coordinator waits between two of them for the
gateway, and where it is silent few get to know that. Too many: they wait for their turn there for
longer than a node may be silent."""


SCANS = Range(2, 8, 32)
"""LIST and COUNT in flight. Too few: small ones wait although the nodes have time. Too many: large
ones take the loop for milliseconds at a time, and GET and PUT wait behind them all."""


class Limit:
    """How many operations may be in flight, by how long they take. Pure."""

    def __init__(self, budget_s: float, range: Range) -> None:
        self.most = range.first
        self._budget_s = budget_s
        self._range = range
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
            self.most = max(self._range.fewest, int(self.most * max(STEEPEST, SLOW / mean)))
        elif mean < QUICK and crowded:
            self.most = min(self._range.most, self.most + 1 + self.most // 10)

    def shrink(self, now: float) -> None:
        """A coordinator had no time for an operation."""
        if now >= self._ends:
            self._count, self._total_s, self._ends = 0, 0.0, now + WINDOW_S
            self.most = max(self._range.fewest, int(self.most * STEEPEST))

    def __repr__(self) -> str:
        return f"<Limit {self.most}>"


class Refusals:
    """Operations that have waited too long, refused at the pace at which others are answered.

    A client that asks again at once would otherwise take the gateway's time from the operations in
    flight, since a refusal costs it a third of an answer.
    """

    def __init__(self) -> None:
        self._due: deque[asyncio.Future[bool]] = deque()
        self._credit = MOST_CREDIT
        self._ticking = False

    def add(self, waiting: asyncio.Future[bool]) -> None:
        """Refuse this operation as soon as the credit allows."""
        self._due.append(waiting)
        self._refuse()

    async def turn(self) -> None:
        """Wait until the credit allows one more refusal."""
        allowed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.add(allowed)
        await allowed

    def earn(self) -> None:
        """Add the credit that one answered operation earns."""
        self._credit = min(MOST_CREDIT, self._credit + REFUSED_PER_ANSWER)
        if self._due:
            self._refuse()

    def _refuse(self) -> None:
        while self._due and self._credit >= 1.0:
            self._credit -= 1.0
            waiting = self._due.popleft()
            if not waiting.done():
                waiting.set_result(False)
        if self._due and not self._ticking:
            self._ticking = True
            self._due[0].get_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._credit += REFUSED_PER_S * TICK_S
        self._refuse()

    def __repr__(self) -> str:
        return f"<Refusals {len(self._due)} due>"


class Gate:
    """Places for `most` operations, and a queue of those that wait for one."""

    __slots__ = ("_refusals", "_waiting", "inside", "most")

    def __init__(self, most: int, refusals: Refusals) -> None:
        self.most = most
        self.inside = 0
        self._refusals = refusals
        self._waiting: OrderedDict[asyncio.Future[bool], None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def enter(self) -> bool:
        """Take a free place if no operation waits for one; the caller must then `leave`."""
        if self.inside >= self.most or self._waiting:
            return False
        self.inside += 1
        return True

    async def wait(self, seconds: float) -> bool:
        """Wait for a place in order of arrival; return whether one came in time."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[bool] = loop.create_future()
        timer = None
        if seconds <= 0.0 or len(self._waiting) >= MOST_WAITING:
            self._refusals.add(mine)
        else:
            self._waiting[mine] = None
            timer = loop.call_later(seconds, self._expire, mine)
        try:
            return await mine
        except asyncio.CancelledError:
            self._waiting.pop(mine, None)
            if mine.done() and not mine.cancelled() and mine.result():
                # The place came together with the cancellation: the next one gets it.
                self.leave()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def leave(self) -> None:
        """Return a place; the next waiting operation gets it."""
        self.inside -= 1
        while self._waiting and self.inside < self.most:
            first, _ = self._waiting.popitem(last=False)
            if not first.done():
                self.inside += 1
                first.set_result(True)

    def _expire(self, waiting: asyncio.Future[bool]) -> None:
        if waiting in self._waiting:
            del self._waiting[waiting]
            self._refusals.add(waiting)

    def __repr__(self) -> str:
        return f"<Gate {self.inside} of {self.most}, {len(self._waiting)} waiting>"


class Admission:
    """Admits operations to the nodes.

    The fast way in costs no coroutine: `points.enter()`, and `queue` only where that fails.
    """

    def __init__(self, clock: Clock, timeouts: Timeouts, rng: random.Random) -> None:
        self.limit = Limit(timeouts.request_s, POINTS)
        self.of_one_record = Limit(timeouts.request_s, OF_ONE_RECORD)
        """Learned only from records with waiting changes; those are few at a time."""
        self.refusals = Refusals()
        self.points = Gate(self.limit.most, self.refusals)
        """Operations on single records."""
        self.scan_limit = Limit(timeouts.request_s, SCANS)
        self.scans = Gate(self.scan_limit.most, self.refusals)
        """LIST and COUNT."""
        self._clock = clock
        self._timeouts = timeouts
        self._rng = rng
        self._records: dict[bytes, Gate] = {}
        self._delay_s = 0.0
        self._probing = False
        self._due = 0.0

    def arrived(self) -> float:
        """Estimate when the current request arrived; it may have waited in a socket."""
        now = self._clock.now()
        if not self._probing:
            self._probing = True
            self._probe_at(now + PROBE_EVERY_S)
        return now - self._delay_s

    async def queue(self, gate: Gate, arrived: float, longest_s: float) -> float | None:
        """Wait for a place; return the time of admission. None: no place came in time."""
        longest_s *= self._rng.uniform(EARLIEST, 1.0)
        if not await gate.wait(arrived + longest_s - self._clock.now()):
            return None
        return self._clock.now()

    def leave(self, admitted: float) -> None:
        """An operation on a record, admitted at that moment, has ended."""
        now, points = self._clock.now(), self.points
        self.limit.learn(now, now - admitted, points.waiting > 0)
        points.most = self.limit.most
        points.leave()
        self.refusals.earn()

    def leave_scan(self, admitted: float) -> None:
        """End a LIST or COUNT that was admitted at time `admitted`."""
        now, scans = self._clock.now(), self.scans
        self.scan_limit.learn(now, now - admitted, scans.waiting > 0)
        scans.most = self.scan_limit.most
        scans.leave()

    def record(self, key: bytes) -> Gate:
        """Return the gate for changes of one record."""
        gate = self._records.get(key)
        if gate is None:
            gate = self._records[key] = Gate(self.of_one_record.most, self.refusals)
        return gate

    def leave_record(self, gate: Gate, admitted: float) -> None:
        """A change of a record, admitted at that moment, has ended."""
        if gate.waiting:
            now = self._clock.now()
            self.of_one_record.learn(now, now - admitted, True)
            gate.most = self.of_one_record.most
        gate.leave()

    def forget_record(self, key: bytes, gate: Gate) -> None:
        """Remove the gate of a record without changes."""
        if not gate.inside and not gate.waiting and self._records.get(key) is gate:
            del self._records[key]

    def _probe_at(self, due: float) -> None:
        self._due = due
        asyncio.get_running_loop().call_later(PROBE_EVERY_S, self._probe)

    def _probe(self) -> None:
        """Measure by how many seconds the loop is late, while operations are in flight."""
        now = self._clock.now()
        if self.points.inside or self.points.waiting or self.scans.inside:
            self._delay_s = min(max(0.0, now - self._due), self._timeouts.admission_s)
            self._probe_at(now + PROBE_EVERY_S)
        else:
            self._delay_s, self._probing = 0.0, False

    def __repr__(self) -> str:
        return f"<Admission {self.points!r}, {self.scans!r}, {len(self._records)} records>"
