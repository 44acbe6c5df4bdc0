"""LIST and COUNT.

`range_read` reads the records of a key range. `count` counts records, mostly without reading them.
This module cuts a page out of their results.
"""

from collections.abc import Awaitable, Callable

from ddb.gateway.listing.count import RecordCount
from ddb.gateway.listing.range_read import RangeRead, start_of
from ddb.gateway.listing.scatter_gather import ScatterGather
from ddb.gateway.records import Cursor, Page
from ddb.ring.ring import PARTITIONS, Ring, id_of, partition_in
from ddb.wire.ports import Clock, Transport
from ddb.wire.timeouts import DEFAULT, Timeouts


class Listing:
    """Lists and counts records; each one is as current as a GET."""

    def __init__(
        self,
        ring: Ring,
        transport: Transport,
        clock: Clock,
        read: Callable[[str, float], Awaitable[bytes | None]],
        timeouts: Timeouts = DEFAULT,
    ) -> None:
        """`read` reads one record: it takes an id and a deadline, and returns the body or None."""
        self._transport = transport
        self._clock = clock
        self._timeouts = timeouts
        self._range_read = RangeRead(ring, read)
        self._count = RecordCount(ring, self._range_read)

    async def count(self, deadline: float) -> int:
        """Return the number of live records. Raises `Unavailable`."""
        return await self._count.count(self._scatter(deadline))

    async def page(self, after: Cursor | None, offset: int, limit: int, deadline: float) -> Page:
        """Skip `offset` records after `after` (None: the start), and return up to `limit`.

        Raises: `Unavailable`.
        """
        scatter = self._scatter(deadline)
        at = start_of(after.partition) + after.id.encode() if after else b""
        if offset:
            number, offset = await self._count.position(offset, scatter)
            if number == PARTITIONS:
                return Page([], None)
            at = start_of(number)
        found = await self._range_read.live_records(at, offset + limit + 1, scatter)
        page = found[offset : offset + limit]
        more = len(found) > offset + limit
        last = page[-1].key if page and more else None
        return Page(
            [row.body for row in page if row.body is not None],
            None if last is None else Cursor(partition_in(last), id_of(last)),
        )

    def _scatter(self, deadline: float) -> ScatterGather:
        return ScatterGather(self._transport, self._clock, deadline, self._timeouts)

    def __repr__(self) -> str:
        return f"<Listing {self._range_read!r}>"
