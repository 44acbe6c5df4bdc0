"""The router: the records behind HTTP, reached through whichever coordinator answers.

This is the gateway's request path. An attempt whose coordinator falls silent is given up and made
again, under the same identity, through another node of the cell; the value itself then tells
whether the first attempt had taken effect.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from ddb.gateway.listing.page import Listing
from ddb.gateway.listing.scatter_gather import cells_of, suffice
from ddb.gateway.records import Answer, Applied, Cursor, Page, TooManyKeyed, Unavailable
from ddb.gateway.routing.admission import Admission, Gate
from ddb.gateway.routing.operation_ids import Operations, named_by_client
from ddb.record.change import Change
from ddb.record.codec import body_of, is_live, peek
from ddb.record.version import NEVER
from ddb.ring.ring import CELL, Ring, key_of
from ddb.wire.messages import (
    ChangeResult,
    CoordinateChange,
    CoordinateGet,
    Failed,
    GetResult,
    LogFull,
    Overloaded,
    ReadReplica,
    ReadVersion,
    ReplicaState,
    Reply,
    Request,
    SameVersion,
    Undecided,
    VersionOnly,
)
from ddb.wire.ports import Clock, Condition, Silent, Transport, Unreachable
from ddb.wire.timeouts import DEFAULT, Timeouts


@dataclass(slots=True)
class GatewayMetrics:
    """What this gateway has done since it started."""

    operations: int = 0
    """Reads and changes of single records."""
    node_requests: int = 0
    """Requests to nodes that those took."""
    retries: int = 0
    """Attempts beyond the first."""
    unavailable: int = 0
    """Operations that could not be decided in time."""
    overloaded: int = 0
    """Operations refused before anything was done for them, as too many waited before them."""


class _Declined(Unavailable):
    """A coordinator had no time for the operation, and did nothing for it."""


class Router:
    """`Records` over a cluster."""

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
        self._mending: asyncio.Future[Reply | Unreachable | None] | None = None

    async def read(self, id: str) -> bytes | None:
        """As `Records.read`."""
        admission = self.admission
        arrived = admitted = admission.arrived()
        if not admission.points.enter():
            admitted = await self._queue(admission.points, arrived, self._timeouts.read_admission_s)
        try:
            return await self._read(id, arrived + self._timeouts.request_s)
        finally:
            admission.leave(admitted)

    async def _read(self, id: str, deadline: float) -> bytes | None:
        self.counters.operations += 1
        key = key_of(id)
        agreed = await self._agreed(key, deadline)
        if agreed is not None:
            return body_of(agreed) if is_live(agreed) else None
        request = CoordinateGet(key)
        for coordinator in self._coordinators(key):
            reply = await self._ask(coordinator, request, deadline)
            if isinstance(reply, GetResult):
                return reply.body
            if isinstance(reply, Overloaded):
                self.counters.overloaded += 1
                raise Unavailable(Applied.NO, reply.reason)
            await self._rest(reply, coordinator, key)
            if self._clock.now() >= deadline:
                break
        self.counters.unavailable += 1
        raise Unavailable(Applied.NO, "no two nodes of the record's three answered in time")

    async def _agreed(self, key: bytes, deadline: float) -> bytes | None:
        """The record's decided state, encoded (empty: absent), as its homes tell it.

        None where a home is out, or they do not agree and the newer state may be undecided.
        Asked of both at once: a decided state is on two of the cell's three, so one of any two
        has the newest, and what both homes hold is decided and was not yet surpassed when they
        were asked. Through a coordinator the same read takes twice the messages' time and, as
        its messages travel in smaller company, half as much CPU time again.
        """
        condition = self._transport.condition
        home, partner = self._ring.cell(key).homes
        first = condition(home)
        if first is not Condition.UP and first is not Condition.SLOW:
            return None
        if condition(partner) is not first:
            # A slow home would be waited for, though the other one and the standby suffice.
            return None
        seen = await self._look(home, partner, key, deadline)
        if seen is None:
            return None
        raw, known, other = seen
        newest = peek(raw)
        if newest == other.dot:
            return raw
        # As after a home's return, until it has its hints. What a node takes for decided can have
        # been overtaken by a state of the two others, so the other home is asked once it is known.
        if newest < other.dot:
            home, partner, newest, known = partner, home, other.dot, other.decided
        seen = await self._look(home, partner, key, deadline) if known else None
        if seen is None or peek(seen[0]) != newest or seen[2].dot > newest:
            return None
        self._mend(key, deadline)
        return seen[0]

    async def _look(
        self, home: str, partner: str, key: bytes, deadline: float
    ) -> tuple[bytes, bool, VersionOnly] | None:
        """One home's state and whether it knows that to be decided; the other's newest dot."""
        transport, timeout_s = self._transport, self._timeouts.coordinator_s
        self.counters.node_requests += 2
        whole = transport.ask(
            home, ReadReplica(key, NEVER, whole=False), deadline=deadline, timeout_s=timeout_s
        )
        newest = transport.ask(partner, ReadVersion(key), deadline=deadline, timeout_s=timeout_s)
        try:
            held, dot = await whole, await newest
        except (Silent, Unreachable):
            return None
        finally:
            # Where it has failed already, this counts as having looked at its failure.
            newest.cancel()
        if type(dot) is not VersionOnly:
            return None
        if type(held) is ReplicaState:
            return held.state, held.decided, dot
        return (b"", False, dot) if type(held) is SameVersion else None

    def _mend(self, key: bytes, deadline: float) -> None:
        """Have the home that is behind brought up; nobody waits for it.

        One record at a time: after a home's return they are many, and are on their way as hints.
        """
        if self._mending is None or self._mending.done():
            home = self._ring.cell(key).home
            self._mending = asyncio.ensure_future(self._ask(home, CoordinateGet(key), deadline))

    async def change(self, id: str, change: Change, *, key: str | None = None) -> Answer:
        """As `Records.change`."""
        try:
            return await self._admitted(id, change, key)
        except _Declined:
            self.counters.overloaded += 1
            # Out of the record's places, so that others are served meanwhile.
            await self.admission.refusals.turn()
            raise

    async def _admitted(self, id: str, change: Change, key: str | None) -> Answer:
        """As `change`, once it is admitted."""
        admission, place = self.admission, key_of(id)
        arrived = admitted = admission.arrived()
        record, longest_s = admission.record(place), self._timeouts.admission_s
        # The client itself may have tried before under its key, through whatever gateway.
        refused = Applied.NO if key is None else Applied.UNKNOWN
        try:
            if not record.enter():
                admitted = await self._queue(record, arrived, longest_s, refused)
            try:
                if not admission.points.enter():
                    admitted = await self._queue(admission.points, arrived, longest_s, refused)
                try:
                    return await self._change(id, place, change, key, arrived)
                finally:
                    admission.leave(admitted)
            finally:
                admission.leave_record(record, admitted)
        finally:
            admission.forget_record(place, record)

    async def _change(
        self, id: str, place: bytes, change: Change, key: str | None, arrived: float
    ) -> Answer:
        """As `change`, for an operation that is admitted."""
        self.counters.operations += 1
        sequence = self._operations.begin()
        deadline = arrived + self._timeouts.request_s
        lingering = False
        try:
            operation = (
                self._operations.name(sequence) if key is None else named_by_client(key, id, change)
            )
            doubt, begin_ms = key is not None, int(1000 * self._timeouts.begin_s)
            # Whether an attempt of this very request may have taken effect.
            begun = False
            declined: dict[str, str] = {}
            for coordinator in self._coordinators(place):
                request = CoordinateChange(
                    place,
                    change.kind,
                    change.body,
                    change.match,
                    operation.id,
                    operation.fingerprint,
                    doubt,
                    self._operations.sender,
                    self._operations.low,
                    begin_ms,
                )
                begin_ms = 0
                reply = await self._ask(coordinator, request, deadline)
                if isinstance(reply, ChangeResult):
                    return Answer(reply.outcome, reply.body)
                if reply is None:
                    doubt = begun = lingering = True
                elif isinstance(reply, Undecided):
                    doubt, begun = doubt or reply.maybe, begun or reply.maybe
                elif isinstance(reply, LogFull | Overloaded):
                    self._refuse(reply, doubt, begun)
                elif isinstance(reply, Failed):
                    declined[coordinator] = reply.reason
                    if len(declined) == CELL:
                        break
                await self._rest(reply, coordinator, place)
                if self._clock.now() >= deadline:
                    break
        except asyncio.CancelledError:
            lingering = True
            raise
        finally:
            left = deadline - self._clock.now()
            self._operations.end(sequence, max(left, 0.0) if lingering else 0.0)
        self.counters.unavailable += 1
        raise Unavailable(
            Applied.UNKNOWN if doubt else Applied.NO,
            f"all three nodes of the record decline: {', '.join(declined.values())}"
            if len(declined) == CELL
            else "no two nodes of the record's three answered in time",
        )

    def _refuse(self, reply: LogFull | Overloaded, doubt: bool, begun: bool) -> NoReturn:
        """Answer a change that its coordinator did not begin, and no other coordinator should.

        Args:
            reply: why the coordinator did not begin.
            doubt: an earlier attempt, perhaps of another request, may have taken effect.
            begun: an attempt of this very request may have taken effect.
        """
        if isinstance(reply, Overloaded):
            # The coordinator is alive: a second one would compete with it.
            self.admission.of_one_record.shrink(self._clock.now())
            raise _Declined(Applied.UNKNOWN if doubt else Applied.NO, reply.reason)
        if not begun:
            raise TooManyKeyed(reply.retry_after_s)
        self.counters.unavailable += 1
        raise Unavailable(Applied.UNKNOWN, "the record now takes no more keyed writes")

    async def count(self) -> int:
        """As `Records.count`."""
        arrived, scans = self.admission.arrived(), self.admission.scans
        if not scans.enter():
            await self._queue(scans, arrived, self._timeouts.scan_admission_s)
        try:
            return await self._listing.count(arrived + self._timeouts.request_s)
        finally:
            scans.leave()

    async def page(self, *, after: Cursor | None, offset: int, limit: int) -> Page:
        """As `Records.page`."""
        arrived, scans = self.admission.arrived(), self.admission.scans
        if not scans.enter():
            await self._queue(scans, arrived, self._timeouts.scan_admission_s)
        try:
            deadline = arrived + self._timeouts.request_s
            return await self._listing.page(after, offset, limit, deadline)
        finally:
            scans.leave()

    async def _queue(
        self, gate: Gate, arrived: float, longest_s: float, refused: Applied = Applied.NO
    ) -> float:
        """Wait to be admitted; the moment. Raises `Unavailable`, and counts it."""
        admitted = await self.admission.queue(gate, arrived, longest_s)
        if admitted is None:
            self.counters.overloaded += 1
            raise Unavailable(refused, "too many requests wait before this one")
        return admitted

    def ready(self) -> bool:
        """As `Records.ready`."""
        condition = self._transport.condition
        up = {name for name in self._ring.names if condition(name) <= Condition.SLOW}
        return suffice(up, self._cells)

    def status(self) -> dict[str, object]:
        """As `Records.status`."""
        return {
            "nodes": {
                name: {"state": self._transport.condition(name).name.lower()}
                for name in self._ring.names
            },
            "ready": self.ready(),
            "counters": {name: getattr(self.counters, name) for name in self.counters.__slots__},
        }

    def _coordinators(self, key: bytes) -> Iterator[str]:
        """Whom to try, best first, each time in the light of what is known by then."""
        cell, condition = self._ring.cell(key), self._transport.condition
        tried = dict.fromkeys(cell.nodes, 0)
        if condition(cell.home) is Condition.UP:
            # Nearly always, and then there is nothing to compare.
            tried[cell.home] += 1
            yield cell.home
            self.counters.retries += 1
        while True:
            best = min(tried, key=lambda name: (tried[name], condition(name)))
            tried[best] += 1
            yield best
            self.counters.retries += 1
            if all(tried.values()):
                tried = dict.fromkeys(tried, 0)

    async def _ask(self, to: str, request: Request, deadline: float) -> Reply | Unreachable | None:
        """The reply; None where there was none and the node may act all the same."""
        self.counters.node_requests += 1
        timeout_s = self._timeouts.coordinator_s
        try:
            return await self._transport.ask(to, request, deadline=deadline, timeout_s=timeout_s)
        except Silent:
            return None
        except Unreachable as unreachable:
            self.counters.node_requests -= 1
            return unreachable

    async def _rest(self, reply: Reply | Unreachable | None, failed: str, key: bytes) -> None:
        """Wait a moment where nobody better is left to try at once."""
        others = [name for name in self._ring.cell(key).nodes if name != failed]
        if (
            reply is not None
            and all(self._transport.condition(name) > Condition.SLOW for name in others)
        ) or isinstance(reply, Undecided):
            await asyncio.sleep(self._timeouts.hedge_s)

    def __repr__(self) -> str:
        return f"<Router {self.counters.operations} operations over {len(self._ring.names)} nodes>"
