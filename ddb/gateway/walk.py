"""Walking: reading the records of a stretch of the key space, each as exactly as a single one.

Every record is decided by two of its cell's three nodes, so of any two that answer at least one
has its newest state. Where two answers agree the record is settled; where they do not, it is read
like any single record.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass
from typing import NamedTuple

from ddb.gateway.poll import Cells, Poll, cells_of
from ddb.gateway.records import Applied, Unavailable
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import CELL, PARTITION_BYTES, PARTITIONS, Ring, id_of, partition_in
from ddb.wire.messages import Rows, Scan

MOST_ROWS = 1000
"""Rows asked of one node at a time."""
AT_ONCE = 32
"""Single records read at the same time."""
END = b"\xff\xff\xff"


class Held(NamedTuple):
    """What a node said of a record: see `Rows`."""

    newest: Dot
    live: bool
    body: bytes
    decided: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A settled record; `body` is None for a tombstone."""

    key: bytes
    body: bytes | None


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
        share = 2 * wanted / len(self._ring.names)
        limit = min(MOST_ROWS, int(share * 1.25) + 16)
        scans = await self._scans(after, until, limit, deadline)
        end = min(
            (scan.rows[-1][0] for said in scans.values() for scan in said if scan.more),
            default=None,
        )
        seen: dict[bytes, dict[str, Held]] = {}
        for name, said in scans.items():
            for scan in said:
                for key, dot, live, body, decided in scan.rows:
                    if end is None or key <= end:
                        held = seen.setdefault(key, {})
                        if name not in held or held[name].newest <= dot:
                            held[name] = Held(dot, live, body, decided)
        rows: list[Row] = []
        unsettled: list[bytes] = []
        for key in sorted(seen):
            row = self._settled(key, seen[key], scans)
            if row is None:
                unsettled.append(key)
            else:
                rows.append(row)
        if unsettled:
            rows += await self._settle(unsettled, deadline)
            rows.sort(key=lambda row: row.key)
        return Stretch(rows, end)

    async def _scans(
        self, after: bytes, until: bytes, limit: int, deadline: float
    ) -> dict[str, list[Rows]]:
        """What each node answered, in order, once no decided record can be missing from it.

        Of two homes at least one holds whatever was decided before, and keeps it. A standby does
        not: where it stands in for a home it must have answered before the other home is asked,
        or it could give home and let go between the two.
        """
        cells = self._cells(after, until)
        said: dict[str, list[Rows]] = {}
        while True:
            before = frozenset(said)
            request = Scan(after, until, limit, self._poll.out(cells))
            replies = await self._poll.ask(request, cells, deadline)
            answers = {name: reply for name, reply in replies.items() if isinstance(reply, Rows)}
            for name, reply in answers.items():
                said.setdefault(name, []).append(reply)
            if all(
                (home in answers and partner in answers)
                or (standby in before and (home in answers or partner in answers))
                for home, partner, standby in cells
            ):
                return said

    def _cells(self, after: bytes, until: bytes) -> Cells:
        first = partition_in(after) if after else 0
        stop = PARTITIONS if until == END else partition_in(until)
        return cells_of(self._ring.cells[first:stop])

    def _settled(
        self,
        key: bytes,
        seen: dict[str, Held],
        answers: Container[str],
    ) -> Row | None:
        """The record where the answers agree on it, None where it must be read."""
        cell = self._ring.cell(key)
        if sum(name in answers for name in cell.nodes) < CELL - 1:
            raise Unavailable(Applied.NO, "two nodes of a record's three are out of reach")
        newest = max((held.newest for held in seen.values()), default=NEVER)
        holders = [held for held in seen.values() if held.newest == newest]
        if len(holders) < CELL - 1 and not holders[0].decided:
            return None
        if not holders[0].live:
            return Row(key, None)
        body = next((held.body for held in holders if held.body), None)
        return None if body is None else Row(key, body)

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
