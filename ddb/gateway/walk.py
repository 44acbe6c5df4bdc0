"""Walking: reading the records of a stretch of the key space, each as exactly as a single one.

What two looks at a stretch's nodes settle is told as it is; every other record is read by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache

from ddb.gateway.poll import Cells, Poll, cells_of
from ddb.gateway.sight import Row, Sight
from ddb.ring.ring import END, PARTITION_BYTES, PARTITIONS, Ring, id_of, partition_in
from ddb.wire.messages import Rows, Scan

MOST_ROWS = 1000
"""Rows asked of one node at a time."""
AT_ONCE = 32
"""Single records read at the same time."""
LEAST_LIVING, SMOOTHING = 0.1, 0.1
"""How many of the rows asked for live is guessed from those of earlier stretches."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Every record after some key and up to `end` (None: to the last)."""

    rows: list[Row]
    end: bytes | None


class Walk:
    """Reads stretches through the nodes that are up."""

    def __init__(
        self, ring: Ring, poll: Poll, read: Callable[[str, float], Awaitable[bytes | None]]
    ) -> None:
        """`read` decides one record, named by its id, until a deadline."""
        self._ring = ring
        self._poll = poll
        self._read = read
        self._living = 1.0
        # Most stretches have no end: there are no more of them than there are partitions.
        self._cells = lru_cache(2 * PARTITIONS)(self._cells_from)

    async def partition(self, number: int, deadline: float) -> int:
        """How many records of a partition live. Raises `Unavailable`."""
        live = 0
        end: bytes | None = start_of(number)
        while end is not None:
            stretch = await self.stretch(end, start_of(number + 1), MOST_ROWS, deadline)
            live += sum(row.body is not None for row in stretch.rows)
            end = stretch.end
        return live

    async def stretch(self, after: bytes, until: bytes, wanted: int, deadline: float) -> Stretch:
        """About `wanted` records after `after` and before `until`, in order.

        Raises `Unavailable`.
        """
        share = 2 * wanted / len(self._ring.names) / self._living
        limit = min(MOST_ROWS, int(share * 1.25) + 16)
        cells = self._cells(
            partition_in(after) if after else 0, PARTITIONS if until == END else partition_in(until)
        )
        sight = Sight(cells)

        async def look() -> None:
            request = Scan(after, until, limit, self._poll.out(cells))
            replies = await self._poll.ask(request, cells, deadline)
            sight.add({name: said for name, said in replies.items() if isinstance(said, Rows)})

        while not sight.complete():
            await look()
        if sight.hopeful():
            while not sight.complete(since=1):
                await look()
        rows, unsettled = sight.records()
        if unsettled:
            rows += await self._settle(unsettled, deadline)
            rows.sort(key=lambda row: row.key)
        if rows:
            living = sum(row.body is not None for row in rows) / len(rows)
            self._living = max(LEAST_LIVING, self._living + SMOOTHING * (living - self._living))
        return Stretch(rows, sight.end)

    def _cells_from(self, first: int, stop: int) -> Cells:
        return cells_of(self._ring.cells[first:stop])

    async def _settle(self, keys: list[bytes], deadline: float) -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(keys), AT_ONCE):
            self._poll.check(deadline)
            part = keys[start : start + AT_ONCE]
            bodies = await asyncio.gather(*(self._read(id_of(key), deadline) for key in part))
            rows += map(Row, part, bodies)
        return rows

    def __repr__(self) -> str:
        return f"<Walk over {len(self._ring.names)} nodes>"


def start_of(partition: int) -> bytes:
    """What is before every key of a partition and after every key of the one before it."""
    return partition.to_bytes(PARTITION_BYTES, "big") if partition < PARTITIONS else END
