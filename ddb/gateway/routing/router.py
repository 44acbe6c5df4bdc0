"""The router: which node coordinates an operation, and when the gateway tries another one.

When a coordinator is silent, the router repeats the attempt through another node of the cell. All
attempts carry the same identity. The record remembers identities, so a change takes effect once.
"""

import asyncio
import random
from typing import NoReturn

from ddb.gateway.listing.page import Listing
from ddb.gateway.listing.scatter_gather import cells_of, suffice
from ddb.gateway.records import Answer, Applied, Cursor, Page, TooManyKeyed, Unavailable
from ddb.gateway.routing.admission import Admission
from ddb.gateway.routing.gate import Gate, Refusals
from ddb.gateway.routing.home_read import HomeRead
from ddb.gateway.routing.node_calls import GatewayMetrics, NodeCalls
from ddb.gateway.routing.operation_ids import Operations, named_by_client
from ddb.record.change import Change
from ddb.record.codec import body_of, is_live
from ddb.ring.ring import CELL, Cell, Ring, key_of
from ddb.wire.messages import (
    ChangeResult,
    CoordinateChange,
    CoordinateGet,
    Failed,
    GetResult,
    LogFull,
    Overloaded,
    Reply,
    Undecided,
)
from ddb.wire.ports import Clock, Condition, Transport, Unreachable
from ddb.wire.timeouts import DEFAULT, Timeouts

_CROWDED = "too many requests arrived before this one"
_NO_QUORUM = "fewer than two of the record's three nodes answered in time"


class _Declined(Unavailable):
    """A change that did not begin, because others were first. `refusals`: the pace to refuse it."""

    def __init__(self, applied: Applied, reason: str, refusals: Refusals) -> None:
        super().__init__(applied, reason)
        self.refusals = refusals


class Router:
    """Implements `Records` on a cluster."""

    def __init__(
        self,
        ring: Ring,
        transport: Transport,
        clock: Clock,
        rng: random.Random,
        timeouts: Timeouts = DEFAULT,
    ) -> None:
        self.counters = GatewayMetrics()
        self.admission = Admission(clock, timeouts, rng)
        self._timeouts = timeouts
        self._ring = ring
        self._transport = transport
        self._clock = clock
        self._operations = Operations(rng)
        self._listing = Listing(ring, transport, clock, self._read, timeouts)
        self._cells = cells_of(ring.cells)
        self._calls = NodeCalls(transport, timeouts, self.counters)
        self._homes = HomeRead(ring, self._calls)

    async def read(self, id: str) -> bytes | None:
        """Implement `Records.read`."""
        admission = self.admission
        arrived = admitted = admission.arrived()
        if not admission.points.enter():
            longest_s = self._timeouts.read_admission_s
            admitted = await self._queue(admission.points, arrived, longest_s)
        try:
            return await self._read(id, arrived + self._timeouts.request_s)
        finally:
            admission.leave(admitted)

    async def _read(self, id: str, deadline: float) -> bytes | None:
        self.counters.operations += 1
        key = key_of(id)
        state = await self._homes.read(key, deadline)
        if state is not None:
            return body_of(state) if is_live(state) else None
        request, cell = CoordinateGet(key), self._ring.cell(key)
        tried: list[str] = []
        while True:
            coordinator = self._coordinator(cell, tried)
            reply = await self._calls.ask(coordinator, request, deadline)
            if isinstance(reply, GetResult):
                return reply.body
            if isinstance(reply, Overloaded):
                self.counters.overloaded += 1
                raise Unavailable(Applied.NO, reply.reason)
            if not await self._retries(reply, coordinator, key, deadline):
                break
        self.counters.unavailable += 1
        raise Unavailable(Applied.NO, _NO_QUORUM)

    async def change(self, id: str, change: Change, *, key: str | None = None) -> Answer:
        """Implement `Records.change`."""
        admission, record_key = self.admission, key_of(id)
        arrived = started = admission.arrived()
        record = admission.enter(record_key)
        try:
            if record is None:
                place = await admission.wait(record_key, arrived)
                if isinstance(place, Refusals):
                    # The client may have sent the same key before, through any gateway.
                    applied = Applied.NO if key is None else Applied.UNKNOWN
                    raise _Declined(applied, _CROWDED, place)
                record, started = place
            try:
                return await self._change(id, record_key, change, key, arrived)
            finally:
                admission.leave_change(record_key, record, started)
        except _Declined as declined:
            self.counters.overloaded += 1
            # The operation has left its gates, so others are served during this wait.
            await declined.refusals.turn()
            raise

    async def _change(
        self, id: str, record_key: bytes, change: Change, key: str | None, arrived: float
    ) -> Answer:
        """Do an admitted change. `arrived`: when the gateway received it, by its clock."""
        self.counters.operations += 1
        sequence = self._operations.begin()
        deadline = arrived + self._timeouts.request_s
        lingering = False
        try:
            operation = (
                self._operations.name(sequence) if key is None else named_by_client(key, id, change)
            )
            in_doubt, begin_ms = key is not None, int(1000 * self._timeouts.begin_s)
            # `in_doubt`: an attempt with this identity may have taken effect, perhaps one of an
            # earlier request. `begun`: an attempt of this request may have.
            begun = False
            reasons: dict[str, str] = {}
            cell, tried = self._ring.cell(record_key), list[str]()
            while True:
                coordinator = self._coordinator(cell, tried)
                request = CoordinateChange(
                    record_key,
                    change.kind,
                    change.body,
                    change.match,
                    operation.id,
                    operation.fingerprint,
                    in_doubt,
                    self._operations.sender,
                    self._operations.low,
                    begin_ms,
                )
                begin_ms = 0
                reply = await self._calls.ask(coordinator, request, deadline)
                if isinstance(reply, ChangeResult):
                    return Answer(reply.outcome, reply.body)
                if reply is None:
                    in_doubt = begun = lingering = True
                elif isinstance(reply, Undecided):
                    in_doubt, begun = in_doubt or reply.in_doubt, begun or reply.in_doubt
                elif isinstance(reply, LogFull) or (
                    isinstance(reply, Overloaded) and self._is_load(coordinator, record_key)
                ):
                    self._refuse(reply, in_doubt, begun)
                elif isinstance(reply, Failed):
                    reasons[coordinator] = reply.reason
                    if len(reasons) == CELL:
                        break
                if not await self._retries(reply, coordinator, record_key, deadline):
                    break
        except asyncio.CancelledError:
            lingering = True
            raise
        finally:
            linger_s = max(deadline - self._clock.now(), 0.0) if lingering else 0.0
            self._operations.end(sequence, linger_s)
        self.counters.unavailable += 1
        raise Unavailable(
            Applied.UNKNOWN if in_doubt else Applied.NO,
            f"all three nodes of the record refused it: {', '.join(reasons.values())}"
            if len(reasons) == CELL
            else _NO_QUORUM,
        )

    def _refuse(self, reply: LogFull | Overloaded, in_doubt: bool, begun: bool) -> NoReturn:
        """Refuse a change that its coordinator did not begin; no other coordinator should.

        Args:
            reply: why the coordinator did not begin.
            in_doubt: True: an attempt with this identity may have taken effect, perhaps one of an
                earlier request. False: none did.
            begun: True: an attempt of this request may have taken effect. False: none did.

        Raises: `Unavailable`, `TooManyKeyed`.
        """
        if isinstance(reply, Overloaded):
            # The coordinator works, so a second one would compete with it.
            self.admission.of_one_record.shrink(self._clock.now())
            applied = Applied.UNKNOWN if in_doubt else Applied.NO
            raise _Declined(applied, reply.reason, self.admission.hot_refusals)
        if not begun:
            raise TooManyKeyed(reply.retry_after_s)
        self.counters.unavailable += 1
        raise Unavailable(Applied.UNKNOWN, "the record has no room for another Idempotency-Key")

    async def count(self) -> int:
        """Implement `Records.count`."""
        admission, longest_s = self.admission, self._timeouts.scan_admission_s
        arrived = admitted = admission.arrived()
        if not admission.scans.enter():
            admitted = await self._queue(admission.scans, arrived, longest_s)
        try:
            return await self._listing.count(arrived + self._timeouts.request_s)
        finally:
            self.admission.leave_scan(admitted)

    async def page(self, *, after: Cursor | None, offset: int, limit: int) -> Page:
        """Implement `Records.page`."""
        admission, longest_s = self.admission, self._timeouts.scan_admission_s
        arrived = admitted = admission.arrived()
        if not admission.scans.enter():
            admitted = await self._queue(admission.scans, arrived, longest_s)
        try:
            deadline = arrived + self._timeouts.request_s
            return await self._listing.page(after, offset, limit, deadline)
        finally:
            self.admission.leave_scan(admitted)

    async def _queue(self, gate: Gate, arrived: float, longest_s: float) -> float:
        """Wait with a read, at most `longest_s` after it arrived; return the time of admission.

        Raises: `Unavailable`.
        """
        admitted = await self.admission.queue(gate, arrived, longest_s)
        if admitted is None:
            self.counters.overloaded += 1
            await self.admission.refusals.turn()
            raise Unavailable(Applied.NO, _CROWDED)
        return admitted

    def ready(self) -> bool:
        """Implement `Records.ready`."""
        condition = self._transport.condition
        up = {name for name in self._ring.names if condition(name) <= Condition.SLOW}
        return suffice(up, self._cells)

    def status(self) -> dict[str, object]:
        """Implement `Records.status`."""
        return {
            "nodes": {
                name: {"state": self._transport.condition(name).name.lower()}
                for name in self._ring.names
            },
            "ready": self.ready(),
            "counters": {name: getattr(self.counters, name) for name in self.counters.__slots__},
        }

    def _coordinator(self, cell: Cell, tried: list[str]) -> str:
        """Choose the next node to try: the best by its condition now, and each one in its turn.

        `tried`: the nodes that have had their turn. This call adds its choice; after the last node
        it clears the list.
        """
        condition = self._transport.condition
        if not tried and condition(cell.home) is Condition.UP:
            # The usual case; it needs no comparison.
            best = cell.home
        else:
            best = min((name for name in cell.nodes if name not in tried), key=condition)
        tried.append(best)
        if len(tried) == CELL:
            tried.clear()
        return best

    def _is_load(self, coordinator: str, key: bytes) -> bool:
        """Whether a queue comes from load, not from the coordinator's slow disk.

        Where no node of the cell has a quick disk, another coordinator is no better choice.
        """
        conditions = {name: self._calls.condition(name) for name in self._ring.cell(key).nodes}
        return Condition.UP not in conditions.values() or conditions[coordinator] is Condition.UP

    async def _retries(
        self, reply: Reply | Unreachable | None, failed: str, key: bytes, deadline: float
    ) -> bool:
        """Return whether time is left for another attempt, and count it.

        This pauses before, if no other node is likely to do better now. `failed`: the node that
        gave `reply`.
        """
        others = [name for name in self._ring.cell(key).nodes if name != failed]
        if (
            reply is not None
            and all(self._transport.condition(name) > Condition.SLOW for name in others)
        ) or isinstance(reply, Undecided):
            await asyncio.sleep(self._timeouts.hedge_s)
        if self._clock.now() >= deadline:
            return False
        self.counters.retries += 1
        return True

    def __repr__(self) -> str:
        return f"<Router {self.counters.operations} operations over {len(self._ring.names)} nodes>"
