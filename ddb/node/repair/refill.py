"""Refill: a node with a new disk copies its share from its peers before it votes.

A decided state on the lost disk has its other copy on one of the cell's two other nodes. So
the newer of their two states is at least as new as the lost one. As a home, the node stores that
state. As the standby, it needs only the records on which the homes differ. The lost hint may be one
of the two copies that decided such a record.
"""

import logging
from collections.abc import AsyncIterator, Callable

from ddb.node.context import NodeContext
from ddb.node.repair.peer_copies import NotNow, PeerCopies
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.disk_space import Room
from ddb.record.version import Dot
from ddb.ring.ring import END, PARTITIONS, partition_in
from ddb.wire.messages import PullShare, Share, SharePage

log = logging.getLogger(__name__)

SOURCE_TIMEOUT_S = 2.0
"""Seconds without a reply after which a peer is silent. Too low: a slow flush restarts the refill.
Too high: a dead peer delays the next attempt."""
PAGE_BUDGET_S = 10.0
"""Seconds until the deadline of a page. Too low: a busy peer drops the request. Too high: a peer
works on requests of a refill that has ended."""


class Refiller:
    """Copies the share of one node from its peers."""

    def __init__(
        self,
        context: NodeContext,
        replica: Acceptor,
        ballots: Ballots,
        room: Callable[[], Room],
    ) -> None:
        self._name = name = context.name
        self._counters = context.counters
        self._copies = PeerCopies(context)
        self._replica = replica
        self._ballots = ballots
        self._room = room
        cells = [cell.nodes for cell in context.ring.cells if name in cell.nodes]
        self._peers = sorted({node for nodes in cells for node in nodes} - {name})
        self._walks: int | None = None
        """Walks over a peer's keys that this refill has finished; None outside of a refill."""
        self._partition = 0
        """Partition that the current walk has reached."""
        self._floor = 0
        self._gaps: dict[tuple[str, Share], int] = {}
        """Number of ranges that a peer cannot read itself, by peer and share."""

    def status(self) -> dict[str, object] | None:
        """Return the fraction done and the records copied, or None outside of a refill."""
        if self._walks is None:
            return None
        walks = len(self._peers) * len(Share)
        fraction = (self._walks + self._partition / PARTITIONS) / walks
        return {"done": round(min(fraction, 1.0), 3), "records": self._counters.refilled}

    async def take_share(self, floor: int) -> bool:
        """Copy this node's share from all nodes that share a cell with it.

        Args:
            floor: a counter at or above every ballot that the lost disk can have accepted.

        Returns:
            True once the whole share is durable. False where a peer did not answer, or the disk
            is too small.

        Raises:
            StoreFailed: the disk of this node failed.
            Unreadable: this node cannot read a copy that it has just stored.
        """
        self._walks = 0
        self._floor = floor
        self._gaps.clear()
        self._counters.refilled = 0
        try:
            for peer in self._peers:
                await self._copy_home_share(peer, Share.HOMES)
                await self._copy_home_share(peer, Share.HINTS)
            await self._copy_standby_share()
        except NotNow as reason:
            log.warning(
                "%s begins its refill again: %s. No record is affected: the other nodes serve them"
                " until the refill succeeds. It tries again by itself",
                self._name,
                reason,
            )
            return False
        finally:
            self._walks = None
        await self._ballots.raise_floor(floor)
        await self._replica.writes.wait_all()
        self._log_gaps()
        return True

    def _log_gaps(self) -> None:
        """Log each peer that could not read some of its own keys."""
        for peer in self._peers:
            ranges = sum(self._gaps.get((peer, share), 0) for share in Share)
            if ranges:
                log.error(
                    "%s could not read %d ranges of its keys during the refill of %s. In them this"
                    " node copied the third node's state of each record. A record is lost if its"
                    " two copies were on %s and on this node's lost disk; restore it from a backup",
                    peer,
                    ranges,
                    self._name,
                    peer,
                )

    async def _copy_home_share(self, peer: str, share: Share) -> None:
        """Store a peer's states of the records for which this node is a home."""
        async for reply in self._walk(peer, share):
            for key, _, raw in reply.rows:
                self._replica.restore(key, raw)
                self._counters.refilled += 1
            await self._replica.writes.wait_all()

    async def _copy_standby_share(self) -> None:
        """Store the newer state of each record on which its two homes differ."""
        unmatched: dict[bytes, tuple[Dot, str]] = {}
        for peer in self._peers:
            async for reply in self._walk(peer, Share.STANDBY):
                for key, dot, _ in reply.rows:
                    other = unmatched.pop(key, None)
                    if other is None:
                        unmatched[key] = (dot, peer)
                    elif other[0] != dot:
                        await self._copy_one(key, peer if dot > other[0] else other[1])
        for key, (_, holder) in unmatched.items():
            await self._copy_one(key, holder)

    async def _walk(self, peer: str, share: Share) -> AsyncIterator[SharePage]:
        """Yield the pages of one share of a peer. Raises `NotNow`."""
        after: bytes | None = b""
        self._partition = 0
        while after is not None:
            if self._room() is not Room.AMPLE:
                raise NotNow("its own disk is full")
            reply = await self._copies.page(
                peer,
                PullShare(self._name, share, after, self._floor, END),
                budget_s=PAGE_BUDGET_S,
                timeout_s=SOURCE_TIMEOUT_S,
            )
            yield reply
            self._gaps[peer, share] = self._gaps.get((peer, share), 0) + len(reply.gaps)
            after = reply.after
            self._partition = partition_in(after) if after else PARTITIONS
        self._walks = (self._walks or 0) + 1
        self._partition = 0

    async def _copy_one(self, key: bytes, holder: str) -> None:
        """Store the state that `holder` has of one record. Raises `NotNow`."""
        state = await self._copies.state(
            holder, key, budget_s=PAGE_BUDGET_S, timeout_s=SOURCE_TIMEOUT_S
        )
        if state:
            self._replica.restore(key, state)
            self._counters.refilled += 1

    def __repr__(self) -> str:
        return f"<Refiller {self._name} {self._counters.refilled} records>"
