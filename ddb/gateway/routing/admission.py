"""Admission: how many operations this gateway has in flight, and how the others wait.

More operations than the nodes can serve add latency and no throughput. So an operation waits here
for the cost of a future and a timer. Or it is refused here before it starts.

Changes of one record have their own limit. So a hot record fills neither its coordinator's queue
nor the gateway. LIST and COUNT have another limit.
"""

import asyncio
import random

from ddb.gateway.routing.gate import Gate, Kind, Refusals
from ddb.gateway.routing.limit import Limit, Range
from ddb.wire.ports import Clock
from ddb.wire.timeouts import Timeouts

PROBE_EVERY_S = 0.01
"""Seconds between measurements of the loop's delay. Too low: it costs CPU time."""
TAIL = 2.5
"""The longest changes in flight, as a multiple of the mean. Too low: a change starts too late, and
its outcome is unknown. Too high: a change that had time is refused."""
LEAST_WAIT = 0.5
"""Share of the budget that a change may always wait. Too low: after a stall of the nodes, changes
are refused that had time. Too high: a change starts too late, as with a low `TAIL`."""
EARLIEST = 0.85
"""Each wait ends at a random time between this share of the longest wait and all of it. At 1,
clients that return at once would be refused all in one moment, again and again."""
POINTS = Range(32, 128, 1024)
"""Operations on single records in flight. Too few: group commit flushes for few changes at a time.
Too many: they only grow older."""
OF_ONE_RECORD = Range(2, 16, 64)
"""Changes of one record in flight. Too few: rounds on a hot record decide few changes each, and few
changes notice where the coordinator is silent. Too many: they do not fit into one round there, and
wait for longer than a node may be silent."""
SCANS = Range(2, 8, 32)
"""LIST and COUNT in flight. Too few: small ones wait although the nodes have time. Too many: large
ones take the loop for milliseconds at a time, and GET and PUT wait behind them all."""


REFUSED_PER_S = 100.0
"""Refusals in each second while the nodes are busy. Too low: they come late. Too high: as
`REFUSED_PER_ANSWER`."""
REFUSED_OF_HOT_RECORDS_PER_S = 300.0
"""Refusals in each second of changes of one record. Such a queue waits for flushes, not for
processors, so a refusal delays little else. Too low and too high: as above."""


class Admission:
    """Admits operations to the nodes.

    The fast way in costs no coroutine: `enter()` or `points.enter()`. Only where that fails, the
    operation waits in `queue`.
    """

    def __init__(self, clock: Clock, timeouts: Timeouts, rng: random.Random) -> None:
        self.limit = Limit(timeouts.request_s, POINTS)
        self.of_one_record = Limit(timeouts.request_s, OF_ONE_RECORD)
        """Learned only from records with waiting changes; those are few at a time."""
        self.refusals = Refusals(REFUSED_PER_S)
        self.hot_refusals = Refusals(REFUSED_OF_HOT_RECORDS_PER_S)
        """Refusals of changes because of other changes of the same record."""
        self.points = Gate(self.limit.most)
        """Operations on single records."""
        self.scan_limit = Limit(timeouts.request_s, SCANS)
        self.scans = Gate(self.scan_limit.most)
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

    async def queue(
        self,
        gate: Gate,
        arrived: float,
        longest_s: float,
        kind: Kind = Kind.READ,
        *,
        first: bool = False,
    ) -> float | None:
        """Wait for a place; return the time of admission. None: no place came in time."""
        longest_s *= self._rng.uniform(EARLIEST, 1.0)
        if not await gate.wait(arrived + longest_s - self._clock.now(), kind, first=first):
            return None
        return self._clock.now()

    async def queue_change(self, arrived: float, first: bool) -> float | None:
        """Like `queue`, for a change that needs one of `points` and the time to end.

        `first`: the change has waited for its record already.
        """
        longest_s = self.longest_wait_s()
        admitted = await self.queue(self.points, arrived, longest_s, Kind.CHANGE, first=first)
        if admitted is None or admitted <= arrived + self.longest_wait_s():
            return admitted
        # The operations in flight have become slower during the wait.
        self.points.leave()
        return None

    def longest_wait_s(self) -> float:
        """Return the longest wait of a change for a place among `points`, from its arrival."""
        budget_s = self._timeouts.request_s
        in_time_s = min(self._timeouts.admission_s, budget_s - TAIL * self.limit.mean_s)
        return max(LEAST_WAIT * budget_s, in_time_s)

    def longest_record_wait_s(self) -> float:
        """Return the longest wait of a change for its record, in seconds from its arrival.

        It leaves half of the wait for a place among `points`, if others wait there.
        """
        if self.points.waiting:
            return self.longest_wait_s() / 2
        return self._timeouts.admission_s

    def leave(self, admitted: float) -> None:
        """An operation on a record, admitted at that moment, has ended."""
        now, points = self._clock.now(), self.points
        self.limit.learn(now, now - admitted, points.waiting > 0)
        points.most = self.limit.most
        points.leave()
        self.refusals.earn()
        self.hot_refusals.earn()

    def leave_scan(self, admitted: float) -> None:
        """End a LIST or COUNT that was admitted at time `admitted`."""
        now, scans = self._clock.now(), self.scans
        self.scan_limit.learn(now, now - admitted, scans.waiting > 0)
        scans.most = self.scan_limit.most
        scans.leave()

    def enter(self, key: bytes) -> Gate | None:
        """Admit a change of a record at once, and return the record's gate.

        None: the change must `wait`, for its record or among `points`.
        """
        record = self.record(key)
        if record.enter():
            if self.points.enter():
                return record
            record.leave()
        self.forget_record(key, record)
        return None

    async def wait(self, key: bytes, arrived: float) -> tuple[Gate, float] | Refusals:
        """Wait until a change of a record may start: return its gate and the time of its start.

        `Refusals`: no place came in time, and the change is to be refused at that pace.
        """
        record = self.record(key)
        admitted: float | None = arrived
        started: float | None = None
        waits = not record.enter()
        if waits:
            try:
                longest_s = self.longest_record_wait_s()
                admitted = await self.queue(record, arrived, longest_s, Kind.CHANGE)
            finally:
                self.forget_record(key, record)
            if admitted is None:
                return self.hot_refusals
        try:
            if self.points.enter():
                started = admitted
            else:
                started = await self.queue_change(arrived, first=waits)
        finally:
            if started is None:
                self.leave_record(key, record, None)
        return self.refusals if started is None else (record, started)

    def leave_change(self, key: bytes, record: Gate, started: float) -> None:
        """End a change that `enter` or `wait` let start at time `started`."""
        self.leave(started)
        self.leave_record(key, record, started)

    def record(self, key: bytes) -> Gate:
        """Return the gate for changes of one record."""
        gate = self._records.get(key)
        if gate is None:
            gate = self._records[key] = Gate(self.of_one_record.most)
        return gate

    def leave_record(self, key: bytes, gate: Gate, started: float | None) -> None:
        """End a change of a record. `started`: when it left for a node; None: it did not."""
        if gate.waiting and started is not None:
            now = self._clock.now()
            self.of_one_record.learn(now, now - started, True)
            gate.most = self.of_one_record.most
        gate.leave()
        self.forget_record(key, gate)

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
