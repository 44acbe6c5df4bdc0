"""Refill: a node whose disk is new takes over what its cells hold, before it votes.

Whatever was decided with the lost copy has its other copy on one of the two other nodes of the
cell, so the newer of their states is at least as new as what was lost. As a home the node takes
the states; as a standby it need hold only the records on which the two homes differ, since those
may be decided by the home that is ahead and the lost hint.
"""

from ddb.node.ballots import Ballots
from ddb.node.counters import Counters
from ddb.node.replica import Replica
from ddb.node.store import Family, Store
from ddb.node.tally import END
from ddb.record.state import peek
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import Ring
from ddb.wire.messages import Holds, Read, Refill, Refilling, Reply, Request, Share
from ddb.wire.ports import Clock, Silent, Transport, Unreachable

BATCH = 500
BATCH_BYTES = 1024 * 1024
PATIENCE = 2.0
BUDGET = 10.0


class NotNow(Exception):
    """A node that is needed did not answer; what was taken over stays, and is not yet enough."""


class Refiller:
    """Takes over the share of the node `name`."""

    def __init__(
        self,
        name: str,
        ring: Ring,
        store: Store,
        replica: Replica,
        ballots: Ballots,
        transport: Transport,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._name = name
        self._ring = ring
        self._store = store
        self._replica = replica
        self._ballots = ballots
        self._transport = transport
        self._clock = clock
        self._counters = counters
        self._neighbours = sorted(
            {node for cell in ring.cells if name in cell.nodes for node in cell.nodes} - {name}
        )

    async def take_share(self, floor: int) -> bool:
        """Take over everything, from all nodes that share a cell with this one.

        False where one of them did not answer. Raises `StoreFailed`.
        """
        try:
            for neighbour in self._neighbours:
                await self._take_homes(neighbour, Share.HOMES)
                await self._take_homes(neighbour, Share.HINTS)
            await self._take_standby()
        except NotNow:
            return False
        await self._ballots.raise_floor(floor)
        await self._replica.all_durable()
        return True

    async def _take_homes(self, neighbour: str, share: Share) -> None:
        after: bytes | None = b""
        while after is not None:
            reply = await self._ask(neighbour, Refill(self._name, share, after))
            for key, _, raw in reply.rows:
                self._replica.restore(key, raw)
                self._counters.refilled += 1
            await self._replica.all_durable()
            after = reply.after

    async def _take_standby(self) -> None:
        seen: dict[bytes, tuple[Dot, str]] = {}
        for neighbour in self._neighbours:
            after: bytes | None = b""
            while after is not None:
                reply = await self._ask(neighbour, Refill(self._name, Share.STANDBY, after))
                for key, dot, _ in reply.rows:
                    other = seen.pop(key, None)
                    if other is None:
                        seen[key] = (dot, neighbour)
                    elif other[0] != dot:
                        await self._take_one(key, neighbour if dot > other[0] else other[1])
                after = reply.after
        for key, (_, only) in seen.items():
            await self._take_one(key, only)

    async def _take_one(self, key: bytes, holder: str) -> None:
        reply = await self._tell(holder, Read(key, NEVER))
        if not isinstance(reply, Holds):
            raise NotNow(holder)
        if reply.state:
            self._replica.restore(key, reply.state)
            self._counters.refilled += 1

    async def _ask(self, neighbour: str, request: Refill) -> Refilling:
        reply = await self._tell(neighbour, request)
        if not isinstance(reply, Refilling):
            raise NotNow(neighbour)
        return reply

    async def _tell(self, neighbour: str, request: Request) -> Reply:
        self._counters.repair_requests += 1
        deadline = self._clock.now() + BUDGET
        try:
            return await self._transport.ask(
                neighbour, request, deadline=deadline, patience=PATIENCE
            )
        except (Silent, Unreachable) as error:
            raise NotNow(neighbour) from error

    def __repr__(self) -> str:
        return f"<Refiller {self._name} {self._counters.refilled} taken over>"


async def refill_rows(request: Refill, ring: Ring, store: Store, replica: Replica) -> Reply:
    """Answer Refill with durable states."""
    family = Family.HINTS if request.share is Share.HINTS else Family.RECORDS
    start = request.after + b"\x00" if request.after else b""
    held = store.scan(family, start, END, BATCH)
    rows: list[tuple[bytes, Dot, bytes]] = []
    size, after = 0, None
    for key, raw in held:
        cell = ring.cell(key)
        if request.share is Share.STANDBY:
            if request.name == cell.standby:
                rows.append((key, peek(raw), b""))
        elif request.name in cell.homes:
            rows.append((key, peek(raw), raw))
            size += len(raw)
        if size >= BATCH_BYTES or (key == held[-1][0] and len(held) == BATCH):
            after = key
            break
    for key, _, _ in rows:
        pending = replica.durable(key)
        if pending is not None:
            await pending
    return Refilling(rows, after)
