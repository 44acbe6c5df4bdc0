"""Walking: reading the records of a stretch of the key space, each as exactly as a single one.

What two looks at a stretch's nodes settle is told as it is; every other record is read by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ddb.gateway.listing.page_estimate import PageEstimate
from ddb.gateway.listing.quorum_scan import QuorumScan, Row
from ddb.gateway.listing.scatter_gather import ScatterGather, cells_of
from ddb.ring.ring import END, PARTITION_BYTES, PARTITIONS, Ring, id_of, partition_in
from ddb.wire.messages import Scan, ScanPage

MAX_SCAN_ROWS = 500
"""Rows asked of one node at a time. Too low: a page takes many round trips. Too high: a node and
the gateway do nothing else for as long as the rows take, some 5 us each."""
MAX_CONCURRENT_READS = 32
"""Single records read at the same time."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Every record after some key and up to `end` (None: all that were asked for)."""

    rows: list[Row]
    end: bytes | None


class Walk:
    """Reads stretches through the nodes that are up."""

    def __init__(
        self, ring: Ring, poll: ScatterGather, read: Callable[[str, float], Awaitable[bytes | None]]
    ) -> None:
        """`read` decides one record, named by its id, until a deadline."""
        self._ring = ring
        self._poll = poll
        self._read = read
        self._density = PageEstimate()

    async def partition(self, number: int, deadline: float) -> int:
        """How many records of a partition live. Raises `Unavailable`."""
        live = 0
        end: bytes | None = start_of(number)
        while end is not None:
            stretch = await self._stretch(end, number + 1, MAX_SCAN_ROWS, deadline)
            live += sum(row.body is not None for row in stretch.rows)
            end = stretch.end
        return live

    async def living(self, after: bytes, wanted: int, deadline: float) -> list[Row]:
        """The first living records after `after`, in order: `wanted` or more, or all there are.

        Raises `Unavailable`.
        """
        found: list[Row] = []
        at: bytes | None = after
        further = 1
        while at is not None and len(found) < wanted:
            first, missing = partition_in(at) if at else 0, wanted - len(found)
            stop = min(PARTITIONS, first + further * self._density.partitions(missing))
            limit = min(MAX_SCAN_ROWS, further * self._density.rows(missing))
            stretch = await self._stretch(at, stop, limit, deadline)
            living = [row for row in stretch.rows if row.body is not None]
            at = stretch.end or (start_of(stop) if stop < PARTITIONS else None)
            reached = partition_in(at) if at else PARTITIONS
            self._density.learn(len(stretch.rows), len(living), reached - first)
            found += living
            # Where records lie less densely than anywhere else, the way to the end is still short.
            further *= 2
        return found

    async def _stretch(self, after: bytes, stop: int, limit: int, deadline: float) -> Stretch:
        """Records after `after` and before partition `stop`, from up to `limit` rows of each node.

        Raises `Unavailable`.
        """
        until = start_of(stop)
        cells = cells_of(self._ring.cells[partition_in(after) if after else 0 : stop])
        sight = QuorumScan(cells, self._ring.cells)

        async def look() -> None:
            without = (*self._poll.out(cells), *sight.incomplete())
            request = Scan(after, until, limit, without)
            replies = await self._poll.ask(request, cells, deadline)
            sight.add({name: said for name, said in replies.items() if isinstance(said, ScanPage)})

        while not sight.complete():
            await look()
        if sight.hopeful():
            while not sight.complete(since=1):
                await look()
        rows, unsettled = sight.records()
        if unsettled:
            rows += await self._settle(unsettled, deadline)
            rows.sort(key=lambda row: row.key)
        return Stretch(rows, sight.end)

    async def _settle(self, keys: list[bytes], deadline: float) -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(keys), MAX_CONCURRENT_READS):
            self._poll.check(deadline)
            part = keys[start : start + MAX_CONCURRENT_READS]
            bodies = await asyncio.gather(*(self._read(id_of(key), deadline) for key in part))
            rows += map(Row, part, bodies)
        return rows

    def __repr__(self) -> str:
        return f"<Walk over {len(self._ring.names)} nodes>"


def start_of(partition: int) -> bytes:
    """What is before every key of a partition and after every key of the one before it."""
    return partition.to_bytes(PARTITION_BYTES, "big") if partition < PARTITIONS else END
