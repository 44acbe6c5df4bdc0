"""COUNT: the number of live records, by partition, mostly without reading records.

Each node keeps a digest of its home copies per partition. If the digests of both homes are equal,
they have the count. A keeper is a home that stores all the standby's hints. If the standby names a
keeper, the digest of that home is enough. Otherwise the gateway reads the partition.
"""

import asyncio
from collections.abc import Collection, Sequence

from ddb.gateway.listing.digest_comparison import DigestComparison
from ddb.gateway.listing.range_read import RangeRead
from ddb.gateway.listing.scatter_gather import ScatterGather, cells_of
from ddb.ring.ring import PARTITIONS, Ring
from ddb.wire.messages import Digests, GetDigests

MAX_RANGE_READS = 16
"""Disputed partitions up to which COUNT reads them without asking for digests again. Too low:
COUNT waits for writes in flight. Too high: a COUNT during writes reads many records."""
CHEAP_RANGE_READ_ROWS = 2000
"""The same limit in records, by the digests. Too low and too high: as above."""
MAX_DIGEST_POLLS = 3
"""Requests for digests per COUNT. Too low: no digest follows the first claims of the standbys. Too
high: COUNT repeats requests while writes go on."""
DIGEST_POLL_PAUSE_S = 0.025
"""Seconds before the third request; a standby checks its hints somewhat more often. Too low: the
reply is the same. Too high: COUNT takes longer."""
MAX_CONCURRENT_RANGE_READS = 64
"""Partitions that COUNT reads at once. Too low: a COUNT after a node's return takes longer. Too
high: it delays other requests."""

HintClaims = dict[str, dict[int, tuple[str, ...]]]
"""By node and partition, the keepers of the node's hints; see `Digests.hints`."""


class RecordCount:
    """Counts records through the nodes that are up."""

    def __init__(self, ring: Ring, range_read: RangeRead) -> None:
        self._ring = ring
        self._range_read = range_read
        self._cells = cells_of(ring.cells)
        self._all = frozenset(range(PARTITIONS))
        self._comparison = DigestComparison(ring)

    async def count(self, scatter: ScatterGather) -> int:
        """Return the number of live records. Raises `Unavailable`."""
        return sum(await self._counts(None, scatter))

    async def position(self, offset: int, scatter: ScatterGather) -> tuple[int, int]:
        """Return the partition of the record at `offset`, and the record's offset within it.

        If there are fewer records, return `PARTITIONS` and 0.

        Raises: `Unavailable`.
        """
        return _position(await self._counts(offset, scatter), offset)

    async def _counts(self, offset: int | None, scatter: ScatterGather) -> list[int]:
        """Return the live records of each partition, exact before the record at `offset`.

        `offset`: None: all partitions are exact.
        """
        counts = [0] * PARTITIONS
        disputed: Sequence[int] = ()
        claims: HintClaims = {}
        for asked in range(MAX_DIGEST_POLLS):
            if asked > 1:
                # The first request got only the claims, which must be older than the digests.
                await asyncio.sleep(DIGEST_POLL_PAUSE_S)
            numbers = disputed if asked else self._all
            disputed, claims = await self._read_digests(counts, numbers, claims, scatter)
            needed = _needed(counts, disputed, offset)
            if (
                len(needed) <= MAX_RANGE_READS
                and sum(counts[n] for n in needed) <= CHEAP_RANGE_READ_ROWS
            ):
                break
        # A read may find fewer records than a digest had, and then later partitions count, too.
        while needed := _needed(counts, disputed, offset):
            for start in range(0, len(needed), MAX_CONCURRENT_RANGE_READS):
                await self._read_partitions(
                    counts, needed[start : start + MAX_CONCURRENT_RANGE_READS], scatter
                )
            disputed = disputed[len(needed) :]
        return counts

    async def _read_partitions(
        self, counts: list[int], numbers: Sequence[int], scatter: ScatterGather
    ) -> None:
        """Read some partitions, and set their `counts`."""
        live = await asyncio.gather(
            *(self._range_read.count_partition(number, scatter) for number in numbers)
        )
        for number, count in zip(numbers, live, strict=True):
            counts[number] = count

    async def _read_digests(
        self,
        counts: list[int],
        numbers: Collection[int],
        claims: HintClaims,
        scatter: ScatterGather,
    ) -> tuple[Sequence[int], HintClaims]:
        """Ask for digests, and set `counts` of the partitions `numbers`.

        `claims`: from replies that came before this request; empty: there were none.

        Returns the disputed partitions, whose `counts` are only estimates, and the new claims.
        """
        replies = await scatter.ask(GetDigests(), self._cells)
        answers = {name: reply for name, reply in replies.items() if isinstance(reply, Digests)}
        compared = self._comparison.compare(answers)
        without_keeper: list[int] = []
        disputed: list[int] = []
        damaged = {name: frozenset(reply.damaged) for name, reply in answers.items()}
        if len(numbers) == PARTITIONS:
            counts[:] = compared.of_home
        else:
            for number in numbers:
                counts[number] = compared.of_home[number]
        for number in sorted(compared.differ.intersection(numbers)):
            cell = self._ring.cells[number]
            live = {
                cell.home: compared.of_home[number],
                cell.partner: compared.of_partner[number],
            }
            here = [home for home in live if home in damaged and number not in damaged[home]]
            keeper = self._keeper(number, here, claims)
            if keeper is None or len(here) == len(live):
                disputed.append(number)
            if keeper is None:
                without_keeper.append(number)
                counts[number] = max((live[home] for home in here), default=0)
            else:
                counts[number] = live[keeper]
        if len(disputed) > MAX_RANGE_READS:
            # A home has returned and lacks many records. A keeper stores all the standby's
            # hints, so its digest counts all records that keeper and standby store.
            disputed = without_keeper
        return disputed, {name: reply.hints for name, reply in answers.items()}

    def _keeper(self, number: int, here: Sequence[str], claims: HintClaims) -> str | None:
        """Return a home that stores all hints of the standby, by the standby's claim.

        The claim must be older than the home's digest. Otherwise the standby could hand a hint
        off and drop it between the two. Then the digest would lack that record.

        `here`: the homes whose digests count.
        """
        cell = self._ring.cells[number]
        if cell.standby not in claims:
            return None
        keepers = claims[cell.standby].get(number, cell.homes)
        return next((home for home in keepers if home in here), None)

    def __repr__(self) -> str:
        return f"<RecordCount over {len(self._ring.names)} nodes>"


def _needed(counts: list[int], disputed: Sequence[int], offset: int | None) -> Sequence[int]:
    """Return the disputed partitions that must be exact, in order.

    For a LIST, those before the record at `offset`. For a COUNT (`offset` is None), all of them.
    """
    if offset is None:
        return disputed
    number, _ = _position(counts, offset)
    return [each for each in disputed if each < number]


def _position(counts: list[int], offset: int) -> tuple[int, int]:
    """Return the partition of the record at `offset`, and the record's offset within it."""
    for number, count in enumerate(counts):
        if offset < count:
            return number, offset
        offset -= count
    return PARTITIONS, 0
