"""LIST and COUNT: reading many records, as exactly as one.

Every record is decided by two of its cell's three nodes, so of any two that answer at least one
has its newest state. Where two answers agree the record is settled; where they do not, it is read
like any single record. Summaries say for whole partitions whether they agree.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass

from ddb.gateway.records import Applied, Cursor, Page, Unavailable
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import CELL, PARTITION_BYTES, PARTITIONS, Ring, id_of, partition_in
from ddb.wire.messages import Reply, Request, Rows, Scan, Tallies, Tally
from ddb.wire.ports import Clock, Condition, Silent, Transport, Unreachable

PATIENCE = 0.06
REST = 0.01
MOST_ROWS = 1000
"""Rows asked of one node at a time."""
AT_ONCE = 32
"""Single records read at the same time."""
MOST_WALKS = 48
"""Partitions walked for one COUNT merely because writes to them are under way."""
FEW_WALKS = 4
"""Partitions walked at once; where there are more, writes under way are given time to settle."""
MOST_TALLIES = 4
PAUSE = 0.025
"""Seconds between tallies: somewhat more than a standby takes to look at its hints."""
WALKS_AT_ONCE = 64
END = b"\xff\xff\xff"
_ROW = struct.Struct(">QQ")

Words = dict[str, dict[int, str]]
"""What each node said of its hints: see `Tallies.hints`."""


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


class Listing:
    """Reads many records through the nodes that are up."""

    def __init__(
        self,
        ring: Ring,
        transport: Transport,
        clock: Clock,
        read: Callable[[str, float], Awaitable[bytes | None]],
    ) -> None:
        """`read` decides one record, named by its id, until a deadline."""
        self._ring = ring
        self._transport = transport
        self._clock = clock
        self._read = read
        self._cells = {cell.nodes for cell in ring.cells}

    async def count(self, deadline: float) -> int:
        """How many records live. Raises `Unavailable`."""
        return sum(await self._counts(deadline))

    async def page(self, after: Cursor | None, offset: int, limit: int, deadline: float) -> Page:
        """Up to `limit` bodies. Raises `Unavailable`."""
        at = _prefix(after.partition) + after.id.encode() if after else b""
        if offset:
            at, offset = _skip(await self._counts(deadline), offset)
        found: list[Row] = []
        wanted = offset + limit + 1
        end: bytes | None = at
        while end is not None and len(found) < wanted:
            stretch = await self._stretch(end, END, wanted - len(found), deadline)
            found += [row for row in stretch.rows if row.body is not None]
            end = stretch.end
        page = found[offset : offset + limit]
        more = len(found) > offset + limit
        last = page[-1].key if page and more else None
        return Page(
            [row.body for row in page if row.body is not None],
            None if last is None else Cursor(partition_in(last), id_of(last)),
        )

    # Counting.

    async def _counts(self, deadline: float) -> list[int]:
        """Live records per partition."""
        counts = [0] * PARTITIONS
        disputed: Sequence[int] = range(PARTITIONS)
        words: Words = {}
        for asked in range(MOST_TALLIES):
            if asked:
                await asyncio.sleep(PAUSE)
            disputed, words = await self._tallied(counts, disputed, words, deadline)
            if len(disputed) <= FEW_WALKS:
                break
        for start in range(0, len(disputed), WALKS_AT_ONCE):
            part = disputed[start : start + WALKS_AT_ONCE]
            walked = await asyncio.gather(*(self._walk(number, deadline) for number in part))
            for number, count in zip(part, walked, strict=True):
                counts[number] = count
        return counts

    async def _tallied(
        self, counts: list[int], numbers: Sequence[int], words: Words, deadline: float
    ) -> tuple[Sequence[int], Words]:
        """Fill in `counts` of those partitions of which the tallies are enough.

        The other partitions, and what the nodes said of their hints. `words`: what they had said
        of them before they were asked this time.
        """
        replies = await self._ask_all(Tally(), deadline)
        answers = {name: reply for name, reply in replies.items() if isinstance(reply, Tallies)}
        tables = {name: list(_ROW.iter_unpack(reply.records)) for name, reply in answers.items()}
        disputed: list[int] = []
        for number in numbers:
            first, second = (
                tables[name][number] if name in tables else None
                for name in self._ring.cells[number].homes
            )
            if first is not None and first == second:
                counts[number] = first[0]
                continue
            kept = self._kept(number, answers, words)
            if kept is None or (first is not None and second is not None):
                disputed.append(number)
            if kept is not None:
                counts[number] = tables[kept][number][0]
        if len(disputed) > MOST_WALKS:
            # A home has just come back and is behind on much; the other one, with the standby's
            # word that it holds every hint, is as good a quorum as the two homes.
            disputed = [number for number in disputed if self._kept(number, answers, words) is None]
        return disputed, {name: reply.hints for name, reply in answers.items()}

    def _kept(self, number: int, answers: dict[str, Tallies], words: Words) -> str | None:
        """The home that, by the standby's word, holds whatever the standby holds.

        The word must be older than the home's tally: a standby that gives home and lets go
        between the two would else vouch for a tally that has nothing of it yet.
        """
        cell = self._ring.cells[number]
        if cell.standby not in words:
            return None
        keeper = words[cell.standby].get(number)
        if keeper is None:
            return next((home for home in cell.homes if home in answers), None)
        return keeper if keeper in answers else None

    async def _walk(self, number: int, deadline: float) -> int:
        """Live records of one partition, record by record."""
        live = 0
        end: bytes | None = _prefix(number)
        until = _prefix(number + 1)
        while end is not None:
            stretch = await self._stretch(end, until, MOST_ROWS, deadline)
            live += sum(row.body is not None for row in stretch.rows)
            end = stretch.end
        return live

    # Walking.

    async def _stretch(self, after: bytes, until: bytes, wanted: int, deadline: float) -> Stretch:
        """About `wanted` records after `after`, settled, in order."""
        share = 2 * wanted / len(self._ring.names)
        limit = min(MOST_ROWS, int(share * 1.25) + 16)
        scans = await self._scans(after, until, limit, deadline)
        end = min(
            (scan.rows[-1][0] for said in scans.values() for scan in said if scan.more),
            default=None,
        )
        seen: dict[bytes, dict[str, tuple[Dot, bool, bytes]]] = {}
        for name, said in scans.items():
            for scan in said:
                for key, dot, live, body in scan.rows:
                    if end is None or key <= end:
                        held = seen.setdefault(key, {})
                        if name not in held or held[name][0] <= dot:
                            held[name] = (dot, live, body)
        answers = {name: said[-1] for name, said in scans.items()}
        rows: list[Row] = []
        unsettled: list[bytes] = []
        for key in sorted(seen):
            row = self._settled(key, seen[key], answers)
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
        said: dict[str, list[Rows]] = {}
        while True:
            before = frozenset(said)
            without = tuple(
                name
                for name in self._ring.names
                if self._transport.condition(name) is not Condition.UP
            )
            replies = await self._ask_all(Scan(after, until, limit, without), deadline)
            answers = {name: reply for name, reply in replies.items() if isinstance(reply, Rows)}
            for name, reply in answers.items():
                said.setdefault(name, []).append(reply)
            if all(
                (home in answers and partner in answers)
                or (standby in before and (home in answers or partner in answers))
                for home, partner, standby in self._cells
            ):
                return said

    def _settled(
        self,
        key: bytes,
        seen: dict[str, tuple[Dot, bool, bytes]],
        answers: dict[str, Rows],
    ) -> Row | None:
        """The record where the answers agree on it, None where it must be read."""
        cell = self._ring.cell(key)
        if sum(name in answers for name in cell.nodes) < CELL - 1:
            raise Unavailable(Applied.NO, "two nodes of a record's three are out of reach")
        newest = max((state[0] for state in seen.values()), default=NEVER)
        holders = [name for name, state in seen.items() if state[0] == newest]
        if len(holders) < CELL - 1 and answers[holders[0]].node_id != newest.node:
            return None
        live = seen[holders[0]][1]
        if not live:
            return Row(key, None)
        body = next((seen[name][2] for name in holders if seen[name][2]), None)
        return None if body is None else Row(key, body)

    async def _settle(self, keys: list[bytes], deadline: float) -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(keys), AT_ONCE):
            self._check(deadline)
            part = keys[start : start + AT_ONCE]
            bodies = await asyncio.gather(*(self._read(id_of(key), deadline) for key in part))
            rows += map(Row, part, bodies)
        return rows

    async def _ask_all(self, request: Request, deadline: float) -> dict[str, Reply]:
        """The replies of the nodes that answer, once two of each cell have."""
        while True:
            self._check(deadline)
            names = self._worth_asking()
            asked = [
                self._transport.ask(name, request, deadline=deadline, patience=PATIENCE)
                for name in names
            ]
            replies: Sequence[Reply | BaseException] = await asyncio.gather(
                *asked, return_exceptions=True
            )
            good: dict[str, Reply] = {}
            for name, reply in zip(names, replies, strict=True):
                if isinstance(reply, BaseException):
                    if not isinstance(reply, Silent | Unreachable):
                        raise reply
                elif isinstance(reply, Rows | Tallies):
                    good[name] = reply
            if self._suffice(good):
                return good
            await asyncio.sleep(REST)

    def _worth_asking(self) -> list[str]:
        """The nodes that are up; where those are too few, the silent ones, too.

        A node that was silent for a moment may be the second one that a cell has left.
        """
        conditions = {name: self._transport.condition(name) for name in self._ring.names}
        up = [name for name, condition in conditions.items() if condition is Condition.UP]
        if self._suffice(up):
            return up
        return [name for name, condition in conditions.items() if condition is not Condition.DOWN]

    def _suffice(self, names: Container[str]) -> bool:
        """Whether these are two nodes of every cell."""
        return all(sum(node in names for node in cell) >= CELL - 1 for cell in self._cells)

    def _check(self, deadline: float) -> None:
        if self._clock.now() >= deadline:
            raise Unavailable(Applied.NO, "two nodes of every cell did not answer in time")

    def __repr__(self) -> str:
        return f"<Listing over {len(self._ring.names)} nodes>"


def _prefix(partition: int) -> bytes:
    return partition.to_bytes(PARTITION_BYTES, "big") if partition < PARTITIONS else END


def _skip(counts: list[int], offset: int) -> tuple[bytes, int]:
    """Where the partition starts that holds the record at `offset`, and how far in it is."""
    for number, count in enumerate(counts):
        if offset < count:
            return _prefix(number), offset
        offset -= count
    return END, 0
