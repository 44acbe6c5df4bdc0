"""Rebuild: a node that cannot read some of its copies takes them again from its peers.

First the family is copied to new files without the damaged ranges, since RocksDB would meet a
damaged block at each compaction. Then each range comes back from both other nodes of its cell. The
node keeps its id and its promises; in the range it is as blank as a node with a new disk, and the
same rules make it safe (see `refill`). All it had accepted there has a ballot up to `floor`, a
counter that both peers refuse from the moment they are read. So a round that had its copy, and
whose coordinator has not stored yet, ends nowhere any more; every other round left a copy on a
peer.
"""

import asyncio
import logging
from collections.abc import Callable

from ddb.node.metrics import NodeMetrics
from ddb.node.repair.refill import NotNow
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.damage import COPIES, DAMAGE, Range, without
from ddb.node.storage.disk_space import Room
from ddb.node.storage.store import Family, Put, Store, Unreadable, written
from ddb.record.codec import peek
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import END, PARTITION_BYTES, PARTITIONS, Ring
from ddb.wire.messages import PullShare, ReadReplica, ReplicaState, Reply, Request, Share, SharePage
from ddb.wire.ports import Clock, Silent, Transport, Unreachable

log = logging.getLogger(__name__)

CHECK_INTERVAL_S = 0.2
"""Seconds between looks for damage to repair. Longer, and records wait for their second copy;
shorter costs an idle node processor time."""
PEER_TIMEOUT_S = 2.0
"""Seconds of a peer's silence before its ranges are left for the next look."""
REQUEST_BUDGET_S = 10.0
"""Seconds that a peer may work on one request: far more than a page of rows takes."""
CHECK_ROWS = 200
"""Rows read at a time when all files are checked: about a millisecond of the loop."""
CHECK_PAUSE_S = 0.005
"""Seconds between those. Shorter, and requests share the loop with the check."""

PIECE_PAUSE_S = 0.005
"""Seconds between partitions that are taken back. Shorter, and requests wait for it at both ends;
longer, and a lost table of a thousand partitions takes more than some seconds."""


class Rebuilder:
    """Finds and rebuilds the damaged ranges of the node `name`."""

    def __init__(
        self,
        name: str,
        ring: Ring,
        store: Store,
        replica: Acceptor,
        ballots: Ballots,
        transport: Transport,
        clock: Clock,
        counters: NodeMetrics,
        room: Callable[[], Room],
    ) -> None:
        self._name = name
        self._ring = ring
        self._store = store
        self._replica = replica
        self._damage = replica.damage
        self._ballots = ballots
        self._transport = transport
        self._clock = clock
        self._counters = counters
        self._room = room
        self._met = 0
        self._floor = 0
        self._fenced = -1
        """How many ranges had been found when `_floor` was taken."""
        self._logged: set[Range] = set()

    async def run(self) -> None:
        """Rebuild whatever is damaged, for ever. Raises `StoreFailed`."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            await self.look()

    async def look(self) -> None:
        """One pass over the damage. Raises `StoreFailed`."""
        met = self._store.damage_met()
        if met > self._met:
            self._met = met
            await self._check_files()
        for family in sorted(self._damage.unwritten, key=lambda each: each.value):
            if self._room() is Room.AMPLE:
                await self._rewrite(family)
        if self._damage.ranges and not self._damage.unwritten:
            await self._rebuild()

    async def _check_files(self) -> None:
        """Read everything: a compaction has met a block that no request has asked for yet."""
        for family in Family:
            start: bytes | None = b""
            while start is not None:
                try:
                    _, start = self._rows(family, start, CHECK_ROWS)
                except Unreadable as unreadable:
                    log.error(
                        "%s has damage in its own settings: %s. No record is affected, but this"
                        " node may not start again: replace its disk, or move its data away and"
                        " start it with an empty directory, and it is refilled from the others",
                        self._name,
                        unreadable,
                    )
                    break
                await asyncio.sleep(CHECK_PAUSE_S)

    def _rows(
        self, family: Family, start: bytes, limit: int
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        rows, _ = self._damage.readable(family, start, END, limit)
        return rows, rows[-1][0] + b"\x00" if len(rows) == limit else None

    async def _rewrite(self, family: Family) -> None:
        """Copy what is readable of a family to new files."""
        await self._store.rewrite(family, lambda start, limit: self._rows(family, start, limit))
        # Whatever was found while it was copied was in the files that are gone.
        self._damage.unwritten.discard(family)
        if family is Family.TALLIES:
            for damaged in list(self._damage.ranges.get(family, ())):
                rows = [self._replica.tallies.stored(number) for number in damaged.partitions()]
                await self._clear(family, [damaged], rows)

    async def _clear(self, family: Family, damaged: list[Range], rows: list[Put]) -> None:
        found = self._damage.found_ranges
        puts = [*rows, (Family.META, DAMAGE, self._damage.without(family, *damaged))]
        await written(self._store.commit(puts))
        if self._damage.found_ranges == found:
            self._damage.heal(family, *damaged)

    async def _rebuild(self) -> None:
        """Take back every range of which both peers answer."""
        if self._fenced != self._damage.found_ranges:
            self._fenced = self._damage.found_ranges
            self._floor = self._ballots.reserved
        await self._ballots.raise_floor(self._floor)
        absent: set[str] = set()
        for family in COPIES:
            pieces = self._pieces(family)
            elsewhere = [piece for number, piece in pieces if not self._keeps(family, number)]
            if elsewhere:
                # No copy can have been there.
                await self._clear(family, elsewhere, [])
            for number, piece in pieces:
                if self._keeps(family, number):
                    await self._take_back(family, number, piece, absent)
                    await asyncio.sleep(PIECE_PAUSE_S)
        if not self._damage.ranges:
            log.info("%s has rebuilt its damaged data: every copy is whole again", self._name)

    def _pieces(self, family: Family) -> list[tuple[int, Range]]:
        """The damaged ranges of a family, cut at partitions, each with its number."""
        return [
            (number, piece)
            for damaged in self._damage.ranges.get(family, ())
            for number in damaged.partitions()
            if (piece := damaged.within(*bounds(number))) is not None
        ]

    def _keeps(self, family: Family, number: int) -> bool:
        """Whether this node keeps copies of a partition in that family."""
        cell = self._ring.cells[number]
        return self._name in (cell.homes if family is Family.RECORDS else (cell.standby,))

    async def _take_back(self, family: Family, number: int, piece: Range, absent: set[str]) -> None:
        cell = self._ring.cells[number]
        peers = [peer for peer in cell.nodes if peer != self._name]
        if absent.intersection(peers):
            return
        gaps: list[Range] = []
        try:
            if family is Family.RECORDS:
                rows = await self._as_home(peers, cell.homes, piece, gaps)
            else:
                rows = await self._as_standby(peers, piece, gaps)
        except NotNow as reason:
            absent.add(str(reason))
            return
        whole = [piece]
        for gap in gaps:
            whole = without(whole, gap)
            self._log_lost(gap, peers)
        for part in whole:
            inside = {key: raw for key, raw in rows.items() if part.covers(key)}
            if await self._replica.rebuild(number, part, inside):
                self._counters.rebuilt += len(inside)

    async def _as_home(
        self, peers: list[str], homes: tuple[str, str], piece: Range, gaps: list[Range]
    ) -> dict[bytes, bytes]:
        """The newer state of each record: every decided one is on one of the peers."""
        rows: dict[bytes, bytes] = {}
        for peer in peers:
            share = Share.HOMES if peer in homes else Share.HINTS
            for key, dot, raw in await self._pull(peer, share, piece, gaps):
                if dot > peek(rows.get(key)):
                    rows[key] = raw
        return rows

    async def _as_standby(
        self, peers: list[str], piece: Range, gaps: list[Range]
    ) -> dict[bytes, bytes]:
        """The states on which the homes differ: the lost hint may be the second copy of these."""
        first, second = [
            {key: dot for key, dot, _ in await self._pull(peer, Share.STANDBY, piece, gaps)}
            for peer in peers
        ]
        rows: dict[bytes, bytes] = {}
        for key in sorted({*first, *second}):
            one, other = first.get(key, NEVER), second.get(key, NEVER)
            if one != other:
                holder = peers[0] if one > other else peers[1]
                reply = await self._ask(holder, ReadReplica(key, NEVER))
                if not isinstance(reply, ReplicaState):
                    raise NotNow(holder)
                rows[key] = reply.state
        return rows

    async def _pull(
        self, peer: str, share: Share, piece: Range, gaps: list[Range]
    ) -> list[tuple[bytes, Dot, bytes]]:
        """A peer's rows of a piece; what it cannot read itself joins `gaps`."""
        rows: list[tuple[bytes, Dot, bytes]] = []
        after: bytes | None = _before(piece.start)
        while after is not None:
            request = PullShare(self._name, share, after, self._floor, piece.stop)
            reply = await self._ask(peer, request)
            if not isinstance(reply, SharePage):
                raise NotNow(peer)
            rows += (row for row in reply.rows if piece.covers(row[0]))
            parts = (Range(*gap).within(piece.start, piece.stop) for gap in reply.gaps)
            gaps += (part for part in parts if part is not None)
            after = reply.after
        return rows

    async def _ask(self, peer: str, request: Request) -> Reply:
        self._counters.repair_requests += 1
        deadline = self._clock.now() + REQUEST_BUDGET_S
        try:
            return await self._transport.ask(
                peer, request, deadline=deadline, timeout_s=PEER_TIMEOUT_S
            )
        except (Silent, Unreachable) as error:
            raise NotNow(peer) from error

    def _log_lost(self, gap: Range, peers: list[str]) -> None:
        if gap in self._logged:
            return
        self._logged.add(gap)
        log.error(
            "the keys from %r to before %r are damaged on %s and on one of %s. Requests for them"
            " are answered by 503 until one of the two copies is read again. To go on with the"
            " third node's copy alone, move the data of one of the two away and start that node"
            " with an empty directory: what that copy lacks is lost",
            gap.start,
            gap.stop,
            self._name,
            " and ".join(peers),
        )

    def __repr__(self) -> str:
        return f"<Rebuilder {self._name} {self._damage!r}>"


def _before(key: bytes) -> bytes:
    """A key below `key` with no record in between, or few."""
    last = key[-1]
    return key[:-1] + (bytes((last - 1,)) + b"\xff" if last else b"")


def bounds(number: int) -> tuple[bytes, bytes]:
    """The first possible key of a partition, and the first one after it."""
    start = number.to_bytes(PARTITION_BYTES, "big")
    return start, (number + 1).to_bytes(PARTITION_BYTES, "big") if number + 1 < PARTITIONS else END
