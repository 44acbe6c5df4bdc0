"""COUNT: the number of live records, partition by partition, mostly without reading any.

Each node keeps a digest of its home copies (`ddb.node.replica.partition_digests`). Where the
digests of both homes are equal, or the standby vouches for one of them, that is the count.
Elsewhere the partition is read record by record.
"""

import asyncio
import struct
from collections.abc import Mapping, Sequence

from ddb.gateway.listing.range_read import Walk
from ddb.gateway.listing.scatter_gather import ScatterGather, cells_of
from ddb.ring.ring import PARTITIONS, Ring
from ddb.wire.messages import Digests, GetDigests

MAX_RANGE_READS = 16
"""Partitions walked for one COUNT merely because writes to them are under way."""
CHEAP_RANGE_READ_ROWS = 2000
"""Records in them, about; where there are more, writes under way are given time to settle."""
MAX_DIGEST_POLLS = 3
DIGEST_POLL_PAUSE_S = 0.025
"""Seconds for that: somewhat more than a standby takes to look at its hints."""
MAX_CONCURRENT_RANGE_READS = 64
_ROW = struct.Struct(">QQ")

Words = dict[str, dict[int, tuple[str, ...]]]
"""What each node said of its hints: see `Digests.hints`."""


class Counting:
    """Counts through the nodes that are up."""

    def __init__(self, ring: Ring, poll: ScatterGather, walk: Walk) -> None:
        self._ring = ring
        self._poll = poll
        self._walk = walk
        self._cells = cells_of(ring.cells)

    async def count(self, deadline: float) -> int:
        """How many records live. Raises `Unavailable`."""
        return sum(await self._counts(None, deadline))

    async def place(self, offset: int, deadline: float) -> tuple[int, int]:
        """The partition that holds the record at `offset`, and how far into it that is.

        `PARTITIONS` and 0 where there are not so many records. Raises `Unavailable`.
        """
        return _place(await self._counts(offset, deadline), offset)

    async def _counts(self, offset: int | None, deadline: float) -> list[int]:
        """Live records of each partition, in order; exact up to that of the record at `offset`."""
        counts = [0] * PARTITIONS
        disputed: Sequence[int] = range(PARTITIONS)
        words: Words = {}
        for asked in range(MAX_DIGEST_POLLS):
            if asked > 1:
                # The first time nodes were merely asked for what must be older than a tally.
                await asyncio.sleep(DIGEST_POLL_PAUSE_S)
            disputed, words = await self._tallied(counts, disputed, words, deadline)
            needed = _needed(counts, disputed, offset)
            if (
                len(needed) <= MAX_RANGE_READS
                and sum(counts[n] for n in needed) <= CHEAP_RANGE_READ_ROWS
            ):
                break
        # A walk may find fewer records than a tally had, and then others are needed, too.
        while needed := _needed(counts, disputed, offset):
            for start in range(0, len(needed), MAX_CONCURRENT_RANGE_READS):
                await self._walked(
                    counts, needed[start : start + MAX_CONCURRENT_RANGE_READS], deadline
                )
            disputed = disputed[len(needed) :]
        return counts

    async def _walked(self, counts: list[int], numbers: Sequence[int], deadline: float) -> None:
        """Fill in the `counts` of some partitions, one record after another."""
        walked = await asyncio.gather(
            *(self._walk.partition(number, deadline) for number in numbers)
        )
        for number, count in zip(numbers, walked, strict=True):
            counts[number] = count

    async def _tallied(
        self, counts: list[int], numbers: Sequence[int], words: Words, deadline: float
    ) -> tuple[Sequence[int], Words]:
        """Fill in `counts` of those partitions of which the tallies are enough.

        The other partitions, of which `counts` has what some home says, and what the nodes said
        of their hints. `words`: what they had said of them before they were asked this time.
        """
        replies = await self._poll.ask(GetDigests(), self._cells, deadline)
        answers = {name: reply for name, reply in replies.items() if isinstance(reply, Digests)}
        tables = {name: list(_ROW.iter_unpack(reply.records)) for name, reply in answers.items()}
        unvouched: list[int] = []
        disputed: list[int] = []
        damaged = {name: frozenset(reply.damaged) for name, reply in answers.items()}
        for number in numbers:
            first, second = (
                tables[name][number] if name in tables and number not in damaged[name] else None
                for name in self._ring.cells[number].homes
            )
            if first is not None and first == second:
                counts[number] = first[0]
                continue
            kept = self._kept(number, damaged, words)
            if kept is None or (first is not None and second is not None):
                disputed.append(number)
            if kept is None:
                unvouched.append(number)
                counts[number] = max(
                    (said[0] for said in (first, second) if said is not None), default=0
                )
            else:
                counts[number] = tables[kept][number][0]
        if len(disputed) > MAX_RANGE_READS:
            # A home has just come back and is behind on much; the other one, with the standby's
            # word that it holds every hint, is as good a quorum as the two homes.
            disputed = unvouched
        return disputed, {name: reply.hints for name, reply in answers.items()}

    def _kept(self, number: int, damaged: Mapping[str, frozenset[int]], words: Words) -> str | None:
        """The home that, by the standby's word, holds whatever the standby holds.

        `damaged`: of each node that answered, the partitions that it does not vouch for.

        The word must be older than the home's tally: a standby that gives home and lets go
        between the two would else vouch for a tally that has nothing of it yet.
        """
        cell = self._ring.cells[number]
        if cell.standby not in words:
            return None
        keepers = words[cell.standby].get(number, cell.homes)
        return next(
            (home for home in keepers if home in damaged and number not in damaged[home]),
            None,
        )

    def __repr__(self) -> str:
        return f"<Counting over {len(self._ring.names)} nodes>"


def _needed(counts: list[int], disputed: Sequence[int], offset: int | None) -> Sequence[int]:
    """The first of the disputed partitions, which are in order: those that must be exact.

    All of them for a COUNT, those before the record at `offset` for a LIST.
    """
    if offset is None:
        return disputed
    number, _ = _place(counts, offset)
    return [each for each in disputed if each < number]


def _place(counts: list[int], offset: int) -> tuple[int, int]:
    """The partition that holds the record at `offset`, and how far into it that is."""
    for number, count in enumerate(counts):
        if offset < count:
            return number, offset
        offset -= count
    return PARTITIONS, 0
