"""LIST and COUNT: many records, as exactly as one.

`range_read` reads the records of a key range. `count` answers most of COUNT without any record.
This module cuts a page out of their results.
"""

from collections.abc import Awaitable, Callable

from ddb.gateway.listing.count import Counting
from ddb.gateway.listing.range_read import Walk, start_of
from ddb.gateway.listing.scatter_gather import ScatterGather
from ddb.gateway.records import Cursor, Page
from ddb.ring.ring import PARTITIONS, Ring, id_of, partition_in
from ddb.wire.ports import Clock, Transport
from ddb.wire.timeouts import DEFAULT, Timeouts


class Listing:
    """Reads many records through the nodes that are up."""

    def __init__(
        self,
        ring: Ring,
        transport: Transport,
        clock: Clock,
        read: Callable[[str, float], Awaitable[bytes | None]],
        timeouts: Timeouts = DEFAULT,
    ) -> None:
        """`read` decides one record, named by its id, until a deadline."""
        poll = ScatterGather(transport, clock, timeouts)
        self._walk = Walk(ring, poll, read)
        self._counting = Counting(ring, poll, self._walk)

    async def count(self, deadline: float) -> int:
        """How many records live. Raises `Unavailable`."""
        return await self._counting.count(deadline)

    async def page(self, after: Cursor | None, offset: int, limit: int, deadline: float) -> Page:
        """Up to `limit` bodies. Raises `Unavailable`."""
        at = start_of(after.partition) + after.id.encode() if after else b""
        if offset:
            number, offset = await self._counting.place(offset, deadline)
            if number == PARTITIONS:
                return Page([], None)
            at = start_of(number)
        found = await self._walk.living(at, offset + limit + 1, deadline)
        page = found[offset : offset + limit]
        more = len(found) > offset + limit
        last = page[-1].key if page and more else None
        return Page(
            [row.body for row in page if row.body is not None],
            None if last is None else Cursor(partition_in(last), id_of(last)),
        )

    def __repr__(self) -> str:
        return f"<Listing {self._walk!r}>"
