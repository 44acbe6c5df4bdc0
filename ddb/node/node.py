"""A node: which part answers which request, and which work runs in the background.

It has no process, socket or disk of its own. Those are ports, so the simulation runs this code.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

import msgspec

from ddb.node.admission import Admission
from ddb.node.consensus.commit_gossip import CommitGossip
from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.context import NodeContext
from ddb.node.dispatch import Dispatcher
from ddb.node.fastpath.fast_read import FastRead
from ddb.node.fastpath.fast_write import FastWrite
from ddb.node.membership.boots import Peers
from ddb.node.membership.bootstrap import Bootstrap
from ddb.node.membership.confirmation import Confirmation
from ddb.node.membership.identity import Identity
from ddb.node.membership.outdated import outdate
from ddb.node.repair.handoff import Handoff
from ddb.node.repair.rebuild import Rebuilder
from ddb.node.repair.refill import Refiller
from ddb.node.repair.refill_source import read_share
from ddb.node.repair.round_recovery import RoundRecovery
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.handoff_acceptance import accept_handoff
from ddb.node.scan import scan
from ddb.node.status import StatusReporter
from ddb.node.storage.disk_health import DiskHealth
from ddb.node.storage.disk_monitor import DiskMonitor
from ddb.node.storage.disk_space import SpaceGuard, Unlimited
from ddb.node.storage.store import Store
from ddb.ring.ring import Ring
from ddb.wire.messages import (
    Accept,
    Boot,
    CommitNotice,
    CommitNoticeAck,
    CoordinateChange,
    CoordinateGet,
    Digests,
    DiskNotice,
    DiskState,
    Form,
    GetDigests,
    GetStatus,
    HandoffBatch,
    Membership,
    Ping,
    Pong,
    Propose,
    PullShare,
    ReadReplica,
    ReadVersion,
    Reply,
    Scan,
    Status,
)
from ddb.wire.ports import Clock, Condition, Handling, Transport
from ddb.wire.timeouts import DEFAULT, Timeouts

log = logging.getLogger(__name__)


class Node:
    """Answers requests, and runs bootstrap, handoff, commit gossip and rebuild."""

    def __init__(
        self,
        identity: Identity,
        boot: Boot,
        ring: Ring,
        store: Store,
        transport: Transport,
        clock: Clock,
        rng: random.Random,
        space: SpaceGuard | None = None,
        timeouts: Timeouts = DEFAULT,
    ) -> None:
        """Wire the parts together, without starting any work.

        Args:
            boot: the number and nonce of this start of the node.
            space: measures the free space under `store`; None means that the disk never fills up.
        """
        context = NodeContext(identity.name, ring, store, transport, clock, rng, timeouts)
        self.name = identity.name
        self.store = store
        self._incarnation = rng.getrandbits(62)
        self._space = space or Unlimited()
        self.ring = ring
        self.ballots = Ballots(identity.node_id, store, clock)
        self.replica = Acceptor(self.name, ring, store, self.ballots)
        self.commit_index = CommitIndex(identity.node_id, store)
        rounds = OpenRounds(self.ballots)
        self.coordinator = Coordinator(
            context, self.replica, self.ballots, rounds, self.commit_index
        )
        self.fast_write = FastWrite(context, self.replica, self.ballots, rounds, self.coordinator)
        self.fast_read = FastRead(context, self.replica, self.commit_index, self.coordinator)
        self.handoff = Handoff(context, self.replica, self.ballots, self.coordinator)
        self.refiller = Refiller(context, self.replica, self.ballots, self._space.room)
        self.rebuilder = Rebuilder(context, self.replica, self.ballots, self._space.room)
        self._transport = transport
        self._rng = rng
        self._cell_peers = {
            tuple(sorted(name for name in cell.nodes if name != self.name))
            for cell in ring.cells
            if self.name in cell.nodes
        }
        self.confirmation = Confirmation(self._cell_peers)
        peers = Peers(ring.names, store)
        self.admission = Admission(
            self.name,
            ring,
            boot,
            self.ballots,
            peers,
            self.confirmation,
            lambda: self.bootstrap.cluster,
        )
        self.bootstrap = Bootstrap(
            context,
            identity,
            self.ballots,
            self.confirmation,
            self.refiller.take_share,
            lambda: not self.replica.copies.damage.partitions,
        )
        self.commit_gossip = CommitGossip(
            context,
            sorted({peer for peers in self._cell_peers for peer in peers}),
            rounds,
            self.ballots,
            self.coordinator.dedup_window,
        )
        self.round_recovery = RoundRecovery(rounds, self.coordinator, clock)
        self.announce: Callable[[DiskNotice], None] = lambda _: None
        """Sends a notice to all callers. The process sets it once it listens."""
        self.disk_monitor = DiskMonitor(
            self.name, store, clock, DiskHealth(timeouts), self._disk_changed
        )
        self._status = StatusReporter(
            context,
            self.bootstrap,
            self.ballots,
            self.replica,
            self.handoff,
            self.refiller,
            self._space,
            self.disk_monitor,
        )
        self.dispatcher = Dispatcher(
            self._handler_table(),
            self.admission,
            self.confirmation,
            self.bootstrap,
            self.replica,
            self._space,
            self.coordinator.complaints,
        )
        self.handle = self.dispatcher.handle
        """Answers a request. An attribute, to save a call per message."""

    def _handler_table(self) -> dict[type, Callable[[Any, float], Handling]]:
        replica = self.replica
        return {
            Ping: lambda _, __: Pong(
                self.votes and self._reaches_each_cell(), self.disk_monitor.state
            ),
            Membership: lambda _, __: self.bootstrap.member(),
            Form: lambda request, _: self.bootstrap.form(request),
            GetStatus: lambda _, __: Status(msgspec.json.encode(self.status())),
            ReadReplica: lambda request, _: replica.read(request, self.commit_index.covers),
            ReadVersion: lambda request, _: replica.peek(request, self.commit_index.covers),
            CoordinateGet: self.fast_read.get,
            Propose: lambda request, _: replica.propose(request),
            CoordinateChange: self.fast_write.change,
            Accept: lambda request, _: replica.accept(request),
            HandoffBatch: lambda request, _: accept_handoff(replica, request.states),
            CommitNotice: lambda request, _: self._on_commit_notice(request),
            Scan: lambda request, _: scan(
                request, self.name, self.ring, replica, self.commit_index, self._incarnation
            ),
            GetDigests: lambda _, __: self._digests(),
            PullShare: lambda request, _: read_share(request, self.ring, replica),
        }

    @property
    def votes(self) -> bool:
        """Whether this node has its share and its peers have confirmed its disk."""
        return self.confirmation.complete and self.bootstrap.ready

    async def run(self) -> None:
        """Work until the node has to start again. Raises `StoreFailed`.

        It starts again if a peer refuses its disk, or if it has to discard its rows.
        """
        work = asyncio.ensure_future(self._work())
        refused = asyncio.ensure_future(self.confirmation.refused.wait())
        try:
            await asyncio.wait((work, refused), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                return
        finally:
            for each in (work, refused):
                each.cancel()
        log.error(
            "%s. The node takes a new node id and refills from the others as soon as all of them"
            " vote and can read all their copies. Until then its rows stay on disk, and the other"
            " nodes serve the records. There is nothing to do. Next time do not restore one node's"
            " directory: start the node with an empty one",
            self.confirmation.reason,
        )
        await outdate(self.store, self.bootstrap.identity, self._rng)

    async def _work(self) -> None:
        """Join the cluster, then run the background work for ever. Raises `StoreFailed`."""
        await self.bootstrap.run()
        if not self.bootstrap.ready:
            return
        work = [
            asyncio.ensure_future(each)
            for each in (self.handoff.run(), self._end_rounds(), self.rebuilder.run())
        ]
        try:
            await asyncio.gather(*work)
        finally:
            for each in work:
                each.cancel()

    async def _end_rounds(self) -> None:
        """Report ended rounds, and decide interrupted ones. Raises `StoreFailed`."""
        await asyncio.gather(self.commit_gossip.run(), self.round_recovery.run())

    def _on_commit_notice(self, notice: CommitNotice) -> Reply:
        self.commit_index.advance(notice.node_id, notice.after, notice.upto)
        memory = self.coordinator.dedup_window
        memory.issued(notice.node_id, notice.upto)
        self.admission.peers.note_ceiling(notice.node_id, notice.reached)
        return CommitNoticeAck(memory.expired_ballots())

    def _disk_changed(self, disk: DiskState, give_up: bool) -> None:
        """Send the disk's state to all callers.

        Args:
            give_up: True where callers shall send requests in flight to other nodes; False where
                they shall wait. This node withdraws it unless all its peers are reachable.
        """
        condition = self._transport.condition
        give_up = give_up and all(
            condition(peer) <= Condition.SLOW for peers in self._cell_peers for peer in peers
        )
        self.announce(DiskNotice(disk, give_up))

    def _reaches_each_cell(self) -> bool:
        """Whether a second node of each cell is connected: one node alone decides nothing."""
        condition = self._transport.condition
        return all(
            any(condition(peer) is not Condition.DOWN for peer in peers)
            for peers in self._cell_peers
        )

    def _digests(self) -> Handling:
        damaged = self.replica.copies.damage.partitions
        # This node may have lost hints there, so it cannot name their keepers.
        hints = self.replica.hints.keepers() | dict.fromkeys(damaged, ())
        reply = Digests(self.replica.digests.packed(), hints, damaged)
        return self.replica.writes.reply_when_all_durable(reply)

    def status(self) -> dict[str, object]:
        """Return the status document of this node, ready for JSON."""
        return self._status.document(self.votes)

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.bootstrap!r} {self.replica!r}>"
