"""The range read: all records of a key range, each as current as a GET.

One or two scans of the range's nodes settle most records. The gateway reads each other record by
itself.
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
"""Rows of one node per scan. Too low: a page takes many round trips. Too high: the node and the
gateway do nothing else meanwhile, for some 2 us per row."""
MAX_CONCURRENT_READS = 32
"""Single records that one range read has in flight. Too low: LIST after a node's return takes
longer. Too high: they delay other requests at the nodes."""


@dataclass(frozen=True, slots=True)
class Section:
    """The records from some key up to `end`; None: up to the end of the requested range."""

    rows: list[Row]
    end: bytes | None


class RangeRead:
    """Reads key ranges through the nodes that are up."""

    def __init__(
        self,
        ring: Ring,
        read: Callable[[str, float], Awaitable[bytes | None]],
    ) -> None:
        """`read` reads one record: it takes an id and a deadline, and returns the body or None."""
        self._ring = ring
        self._read = read
        self._estimate = PageEstimate()

    async def count_partition(self, number: int, scatter: ScatterGather) -> int:
        """Count the live records of a partition. Raises `Unavailable`."""
        live = 0
        end: bytes | None = start_of(number)
        while end is not None:
            section = await self._section(end, number + 1, MAX_SCAN_ROWS, scatter)
            live += sum(row.body is not None for row in section.rows)
            end = section.end
        return live

    async def live_records(self, after: bytes, wanted: int, scatter: ScatterGather) -> list[Row]:
        """Return the first live records after a key, in order.

        Args:
            after: a key; empty: the start of the key space.
            wanted: the fewest records to return, if so many follow.

        Raises: `Unavailable`.
        """
        found: list[Row] = []
        at: bytes | None = after
        widening = 1
        while at is not None and len(found) < wanted:
            first, missing = partition_in(at) if at else 0, wanted - len(found)
            stop = min(PARTITIONS, first + widening * self._estimate.partitions(missing))
            limit = min(MAX_SCAN_ROWS, widening * self._estimate.rows(missing))
            section = await self._section(at, stop, limit, scatter)
            live = [row for row in section.rows if row.body is not None]
            at = section.end or (start_of(stop) if stop < PARTITIONS else None)
            reached = partition_in(at) if at else PARTITIONS
            self._estimate.learn(len(section.rows), len(live), reached - first)
            found += live
            # A sparse part of the key space then takes few scans, too.
            widening *= 2
        return found

    async def _section(
        self, after: bytes, stop: int, limit: int, scatter: ScatterGather
    ) -> Section:
        """Read records after a key and before partition `stop`.

        `limit`: the most rows that each node sends per scan.

        Raises: `Unavailable`.
        """
        until = start_of(stop)
        cells = cells_of(self._ring.cells[partition_in(after) if after else 0 : stop])
        scans = QuorumScan(cells, self._ring.cells)

        async def scan(stale: frozenset[str] = frozenset()) -> None:
            if scans.incomplete():
                scatter.wait_for_late()
            without = stale.union(scatter.unexpected(cells), scans.incomplete())
            request = Scan(after, until, limit, tuple(sorted(without)))
            replies = await scatter.ask(request, cells)
            scans.add({name: page for name, page in replies.items() if isinstance(page, ScanPage)})

        while not scans.complete():
            await scan()
        if scans.settles_more():
            while not scans.complete(first_scan=1):
                await scan()
        if stale := scans.stale_senders():
            # One more scan costs less than a read of each record, which waits for the stale home.
            await scan(stale)
        rows, unsettled = scans.records()
        if unsettled:
            rows += await self._read_singly(unsettled, scatter)
            rows.sort(key=lambda row: row.key)
        return Section(rows, scans.end)

    async def _read_singly(self, keys: list[bytes], scatter: ScatterGather) -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(keys), MAX_CONCURRENT_READS):
            scatter.check()
            part = keys[start : start + MAX_CONCURRENT_READS]
            bodies = await asyncio.gather(
                *(self._read(id_of(key), scatter.deadline) for key in part)
            )
            rows += map(Row, part, bodies)
        return rows

    def __repr__(self) -> str:
        return f"<RangeRead over {len(self._ring.names)} nodes>"


def start_of(partition: int) -> bytes:
    """Return a bound below each key of a partition and above each key of the one before it."""
    return partition.to_bytes(PARTITION_BYTES, "big") if partition < PARTITIONS else END
