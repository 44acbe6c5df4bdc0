"""Refill: a node whose disk is new takes over what its cells hold, before it votes.

Whatever was decided with the lost copy has its other copy on one of the two other nodes of the
cell, so the newer of their states is at least as new as what was lost. As a home the node takes
the states; as a standby it need hold only the records on which the two homes differ, since those
may be decided by the home that is ahead and the lost hint.
"""

import logging
from collections.abc import AsyncIterator, Callable

from ddb.node.metrics import NodeMetrics
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.damage import Range
from ddb.node.storage.disk_space import Room
from ddb.node.storage.store import Family, Unreadable
from ddb.record.codec import peek
from ddb.record.state import DamagedState
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import END, PARTITIONS, Ring, partition_in
from ddb.wire.messages import PullShare, ReadReplica, ReplicaState, Reply, Request, Share, SharePage
from ddb.wire.ports import Clock, Silent, Transport, Unreachable

log = logging.getLogger(__name__)

PAGE_ROWS = 500
PAGE_BYTES = 1024 * 1024
SOURCE_TIMEOUT_S = 2.0
PAGE_BUDGET_S = 10.0


class NotNow(Exception):
    """What is needed is not to be had now; what was taken over stays, and is not yet enough."""


class Refiller:
    """Takes over the share of the node `name`."""

    def __init__(
        self,
        name: str,
        ring: Ring,
        replica: Acceptor,
        ballots: Ballots,
        transport: Transport,
        clock: Clock,
        counters: NodeMetrics,
        room: Callable[[], Room],
    ) -> None:
        self._name = name
        self._room = room
        self._ring = ring
        self._replica = replica
        self._ballots = ballots
        self._transport = transport
        self._clock = clock
        self._counters = counters
        self._neighbours = sorted(
            {node for cell in ring.cells if name in cell.nodes for node in cell.nodes} - {name}
        )
        self._walks: int | None = None
        """Walks over a neighbour's keys that this refill has finished; None outside of one."""
        self._partition = 0
        self._floor = 0
        self._gaps: dict[tuple[str, Share], int] = {}
        """Ranges of its keys that a neighbour could not read itself."""

    def status(self) -> dict[str, object] | None:
        """How far this refill has come, None outside of one: the part done, of 1, and records."""
        if self._walks is None:
            return None
        walks = len(self._neighbours) * len(Share)
        done = (self._walks + self._partition / PARTITIONS) / walks
        return {"done": round(min(done, 1.0), 3), "records": self._counters.refilled}

    async def take_share(self, floor: int) -> bool:
        """Take over everything, from all nodes that share a cell with this one.

        `floor`: a counter at or above every ballot that the lost disk can have accepted. False
        where one of them did not answer, or the disk is too small. Raises `StoreFailed`.
        """
        self._walks = 0
        self._floor = floor
        self._gaps.clear()
        self._counters.refilled = 0
        try:
            for neighbour in self._neighbours:
                await self._take_homes(neighbour, Share.HOMES)
                await self._take_homes(neighbour, Share.HINTS)
            await self._take_standby()
        except (NotNow, Unreadable) as reason:
            log.warning("%s begins its refill again: %s", self._name, reason)
            return False
        finally:
            self._walks = None
        await self._ballots.raise_floor(floor)
        await self._replica.writes.all_durable()
        self._log_gaps()
        return True

    def _log_gaps(self) -> None:
        for neighbour in self._neighbours:
            ranges = sum(self._gaps.get((neighbour, share), 0) for share in Share)
            if ranges:
                log.error(
                    "%s could not read %d ranges of its keys while %s was refilled from it. There"
                    " this node took the only other copy of each record. A record whose two copies"
                    " were on %s and on this node's lost disk is lost; restore it from elsewhere",
                    neighbour,
                    ranges,
                    self._name,
                    neighbour,
                )

    async def _take_homes(self, neighbour: str, share: Share) -> None:
        async for reply in self._walk(neighbour, share):
            for key, _, raw in reply.rows:
                self._replica.restore(key, raw)
                self._counters.refilled += 1
            await self._replica.writes.all_durable()

    async def _take_standby(self) -> None:
        seen: dict[bytes, tuple[Dot, str]] = {}
        for neighbour in self._neighbours:
            async for reply in self._walk(neighbour, Share.STANDBY):
                for key, dot, _ in reply.rows:
                    other = seen.pop(key, None)
                    if other is None:
                        seen[key] = (dot, neighbour)
                    elif other[0] != dot:
                        await self._take_one(key, neighbour if dot > other[0] else other[1])
        for key, (_, only) in seen.items():
            await self._take_one(key, only)

    async def _walk(self, neighbour: str, share: Share) -> AsyncIterator[SharePage]:
        after: bytes | None = b""
        self._partition = 0
        while after is not None:
            if self._room() is not Room.AMPLE:
                raise NotNow("its own disk is full")
            reply = await self._tell(
                neighbour, PullShare(self._name, share, after, self._floor, END)
            )
            if not isinstance(reply, SharePage):
                raise NotNow(f"{neighbour} declined")
            yield reply
            self._gaps[neighbour, share] = self._gaps.get((neighbour, share), 0) + len(reply.gaps)
            after = reply.after
            self._partition = partition_in(after) if after else PARTITIONS
        self._walks = (self._walks or 0) + 1
        self._partition = 0

    async def _take_one(self, key: bytes, holder: str) -> None:
        reply = await self._tell(holder, ReadReplica(key, NEVER))
        if not isinstance(reply, ReplicaState):
            raise NotNow(f"{holder} declined")
        if reply.state:
            self._replica.restore(key, reply.state)
            self._counters.refilled += 1

    async def _tell(self, neighbour: str, request: Request) -> Reply:
        self._counters.repair_requests += 1
        deadline = self._clock.now() + PAGE_BUDGET_S
        try:
            return await self._transport.ask(
                neighbour, request, deadline=deadline, timeout_s=SOURCE_TIMEOUT_S
            )
        except (Silent, Unreachable) as error:
            raise NotNow(f"{neighbour} did not answer") from error

    def __repr__(self) -> str:
        return f"<Refiller {self._name} {self._counters.refilled} taken over>"


async def refill_rows(request: PullShare, ring: Ring, replica: Acceptor) -> Reply:
    """Answer Refill with durable states, from where this node can read its own."""
    # Durably: a late message must not find the fence gone, though this node has restarted.
    await replica.raise_floor(request.floor)
    family = Family.HINTS if request.share is Share.HINTS else Family.RECORDS
    start = request.after + b"\x00" if request.after else b""
    held, gaps = replica.damage.readable(family, start, request.until, PAGE_ROWS)
    rows: list[tuple[bytes, Dot, bytes]] = []
    size, after = 0, None
    for key, raw in held:
        try:
            newest = peek(raw)
        except DamagedState:
            replica.damage.found_undecodable(family, key)
            gaps.append(Range(key, key + b"\x00"))
            continue
        cell = ring.cell(key)
        if request.share is Share.STANDBY:
            if request.name == cell.standby:
                rows.append((key, newest, b""))
        elif request.name in cell.homes:
            rows.append((key, newest, raw))
            size += len(raw)
        if size >= PAGE_BYTES or (key == held[-1][0] and len(held) == PAGE_ROWS):
            after = key
            break
    for key, _, _ in rows:
        await replica.writes.key_durable(key)
    return SharePage(rows, after, [(gap.start, gap.stop) for gap in gaps])
