"""Rebuild: a node replaces its unreadable copies by those of its peers.

1. The store copies the readable part of the column family to new files. Otherwise RocksDB would
   meet the damaged block at each compaction.
2. Each damaged range comes back from both other nodes of its cell.

The node keeps its id and its promises. In the range it is like a node with a new disk, so the rules
of `refill` make it safe. Each ballot that it accepted there is at most `floor`. Both peers refuse
ballots up to `floor` from the moment that the node reads their rows. So a round cannot end on the
node's lost copy alone. Each other round has left a copy on a peer.
"""

import asyncio
import logging
from collections.abc import Callable

from ddb.node.context import NodeContext
from ddb.node.repair.peer_copies import PeerCopies, PeerFailed
from ddb.node.repair.range_pull import RangePull
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.damage import COPIES, DAMAGE, Range, without
from ddb.node.replica.range_rebuild import rebuild_range
from ddb.node.storage.disk_space import Room
from ddb.node.storage.store import Family, Put, Unreadable, written
from ddb.ring.ring import END, PARTITION_BYTES, PARTITIONS

log = logging.getLogger(__name__)

CHECK_INTERVAL_S = 0.2
"""Seconds between checks for damage. Too low: an idle node spends CPU. Too high: records wait
longer for their second copy."""
PEER_TIMEOUT_S = 2.0
"""Seconds without a reply after which a peer is silent until the next check. Too low: a slow flush
delays the rebuild. Too high: a dead peer does."""
REQUEST_BUDGET_S = 10.0
"""Seconds until the deadline of a request. Too low: a busy peer drops it. Too high: a peer works on
requests that nothing waits for."""
CHECK_ROWS = 200
"""Rows per read while the node checks all files. Too low: the check takes long. Too high: each read
blocks the event loop for longer; 200 rows take about 1 ms."""
CHECK_PAUSE_S = 0.005
"""Seconds of pause between those reads. Too low: the check delays requests. Too high: it takes
long."""
PIECE_PAUSE_S = 0.005
"""Seconds of pause between partitions of a rebuild. Too low: requests wait on both nodes. Too high:
a lost table of 1,000 partitions takes longer than 5 s."""


class Rebuilder:
    """Finds and rebuilds the damaged ranges of one node."""

    def __init__(
        self,
        context: NodeContext,
        replica: Acceptor,
        ballots: Ballots,
        room: Callable[[], Room],
    ) -> None:
        self._name = context.name
        self._ring = context.ring
        self._store = context.store
        self._counters = context.counters
        self._copies = PeerCopies(context)
        self._replica = replica
        self._damage = replica.copies.damage
        self._ballots = ballots
        self._room = room
        self._reported = 0
        """Damage reports of the store that a check of all files has covered."""
        self._floor = 0
        self._fenced = -1
        """Number of damaged ranges at the time of `_floor`."""
        self._logged: set[Range] = set()

    async def run(self) -> None:
        """Find and rebuild damage for ever. Raises `StoreFailed`."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            await self._check()

    async def _check(self) -> None:
        """Make one pass over the damage. Raises `StoreFailed`."""
        reported = self._store.damage_met()
        if reported > self._reported:
            self._reported = reported
            await self._check_files()
        for family in sorted(self._damage.unwritten, key=lambda each: each.value):
            if self._room() is Room.AMPLE:
                await self._rewrite(family)
        if self._damage.ranges and not self._damage.unwritten:
            await self._rebuild()

    async def _check_files(self) -> None:
        """Read all rows, to locate the damage that a compaction has met."""
        for family in Family:
            start: bytes | None = b""
            while start is not None:
                try:
                    _, start = self._rows(family, start, CHECK_ROWS)
                except Unreadable as unreadable:
                    log.error(
                        "%s has damage in its own settings: %s. No record is affected, but this"
                        " node may be unable to start again. Replace its disk, or move its data"
                        " away and start it with an empty directory; it refills from the others",
                        self._name,
                        unreadable,
                    )
                    break
                await asyncio.sleep(CHECK_PAUSE_S)

    def _rows(
        self, family: Family, start: bytes, limit: int
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Read up to `limit` readable rows; return them and the next start, None at the end."""
        rows, _ = self._damage.readable(family, start, END, limit)
        return rows, rows[-1][0] + b"\x00" if len(rows) == limit else None

    async def _rewrite(self, family: Family) -> None:
        """Copy the readable rows of a column family to new files."""
        found_before = self._damage.found_ranges
        await self._store.rewrite(family, lambda start, limit: self._rows(family, start, limit))
        if self._damage.found_ranges != found_before:
            # A row found damaged meanwhile may be among those copied before: copy again.
            return
        self._damage.unwritten.discard(family)
        if family is Family.DIGESTS:
            for damaged in list(self._damage.ranges.get(family, ())):
                rows = [self._replica.digests.current(number) for number in damaged.partitions()]
                await self._clear(family, [damaged], rows)

    async def _clear(self, family: Family, damaged: list[Range], rows: list[Put]) -> None:
        """Store `rows` and end the damage of these ranges, in one write.

        The ranges stay damaged where the store found further damage during the write.
        """
        found_before = self._damage.found_ranges
        puts = [*rows, (Family.META, DAMAGE, self._damage.without(family, *damaged))]
        await written(self._store.commit(puts))
        if self._damage.found_ranges == found_before:
            self._damage.heal(family, *damaged)

    async def _rebuild(self) -> None:
        """Rebuild each damaged range whose two peers both answer."""
        if self._fenced != self._damage.found_ranges:
            self._fenced = self._damage.found_ranges
            # Each ballot that this node accepted in the new ranges is at most this counter.
            self._floor = self._ballots.reserved
        await self._ballots.raise_floor(self._floor)
        absent: set[str] = set()
        for family in COPIES:
            if self._fence_is_old():
                return
            pieces = self._pieces(family)
            elsewhere = [piece for number, piece in pieces if not self._stores(family, number)]
            if elsewhere:
                # This node stores no copies in that range.
                await self._clear(family, elsewhere, [])
            for number, piece in pieces:
                if self._fence_is_old():
                    return
                if self._stores(family, number):
                    await self._rebuild_piece(family, number, piece, absent)
                    await asyncio.sleep(PIECE_PAUSE_S)
        if not self._damage.ranges:
            log.info("%s has rebuilt its damaged data: all its copies are readable", self._name)

    def _fence_is_old(self) -> bool:
        """Whether damage was found after the fence: this node may have accepted above it there."""
        return self._fenced != self._damage.found_ranges or bool(self._damage.unwritten)

    def _pieces(self, family: Family) -> list[tuple[int, Range]]:
        """Cut the damaged ranges of a family at partitions; return each with its partition."""
        return [
            (number, piece)
            for damaged in self._damage.ranges.get(family, ())
            for number in damaged.partitions()
            if (piece := damaged.within(*bounds(number))) is not None
        ]

    def _stores(self, family: Family, number: int) -> bool:
        """Whether this node stores copies of a partition in that family."""
        cell = self._ring.cells[number]
        return self._name in (cell.homes if family is Family.RECORDS else (cell.standby,))

    async def _rebuild_piece(
        self, family: Family, number: int, piece: Range, absent: set[str]
    ) -> None:
        """Rebuild one piece, unless a peer in `absent` is needed; add a silent peer to it."""
        cell = self._ring.cells[number]
        peers = [peer for peer in cell.nodes if peer != self._name]
        if absent.intersection(peers):
            return
        pull = RangePull(
            self._copies, self._name, peers, piece, self._floor, REQUEST_BUDGET_S, PEER_TIMEOUT_S
        )
        try:
            if family is Family.RECORDS:
                rows = await pull.as_home(cell.homes)
            else:
                rows = await pull.as_standby()
        except PeerFailed as failed:
            absent.add(failed.peer)
            return
        readable = [piece]
        for gap in pull.gaps:
            readable = without(readable, gap)
            self._log_lost(gap, peers)
        for part in readable:
            inside = {key: raw for key, raw in rows.items() if part.covers(key)}
            if await rebuild_range(self._replica, self._store, number, part, inside):
                self._counters.rebuilt += len(inside)

    def _log_lost(self, gap: Range, peers: list[str]) -> None:
        """Log once a range that this node and one of `peers` cannot read."""
        if gap in self._logged:
            return
        self._logged.add(gap)
        log.error(
            "the keys from %r to before %r are damaged on %s and on one of %s. Requests for them"
            " get a 503 until one of the two copies is readable again. To continue with the third"
            " node's copy alone, move the data of one of the two away and start that node with an"
            " empty directory. A change that the third node lacks is then lost",
            gap.start,
            gap.stop,
            self._name,
            " and ".join(peers),
        )

    def __repr__(self) -> str:
        return f"<Rebuilder {self._name} {self._damage!r}>"


def bounds(number: int) -> tuple[bytes, bytes]:
    """Return the first key of partition `number`, and the first key after it."""
    start = number.to_bytes(PARTITION_BYTES, "big")
    return start, (number + 1).to_bytes(PARTITION_BYTES, "big") if number + 1 < PARTITIONS else END
