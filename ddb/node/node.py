"""A whole node, on ports: everything but the process, the socket and the disk."""

import asyncio
import datetime as dt
import logging
import random
from collections.abc import Callable
from typing import Any

import msgspec

from ddb.node.consensus.commit_gossip import CommitGossip
from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.fastpath.fast_read import FastRead
from ddb.node.fastpath.fast_write import FastWrite
from ddb.node.membership.boots import Peers, outdated
from ddb.node.membership.bootstrap import Bootstrap
from ddb.node.membership.confirmation import Confirmation
from ddb.node.membership.identity import Identity
from ddb.node.membership.outdated import outdate
from ddb.node.repair.handoff import Handoff
from ddb.node.repair.rebuild import Rebuilder
from ddb.node.repair.refill import Refiller, refill_rows
from ddb.node.replica.acceptor import Acceptor, WrongCell
from ddb.node.replica.ballots import Ballots
from ddb.node.scan import scan
from ddb.node.storage.disk_health import DiskHealth
from ddb.node.storage.disk_monitor import DiskMonitor
from ddb.node.storage.disk_space import WRITING, SpaceGuard, Unlimited, takes
from ddb.node.storage.store import Store, StoreFailed, Unreadable, written
from ddb.record.state import DamagedState
from ddb.ring.ring import Ring
from ddb.wire.messages import (
    PROTOCOL,
    REQUESTS,
    Accept,
    Boot,
    CommitNotice,
    CommitNoticeAck,
    CoordinateChange,
    CoordinateGet,
    Digests,
    DiskNotice,
    DiskState,
    Failed,
    Form,
    GetDigests,
    GetStatus,
    HandoffBatch,
    Hello,
    Membership,
    Ping,
    Pong,
    Propose,
    PullShare,
    ReadReplica,
    ReadVersion,
    Reply,
    Request,
    Scan,
    Status,
    Unwelcome,
    Welcome,
)
from ddb.wire.ports import Clock, Condition, Handling, Transport
from ddb.wire.timeouts import DEFAULT, Timeouts

log = logging.getLogger(__name__)

_BEFORE_READY = frozenset(kind for kind in REQUESTS if kind.before_ready)
"""The requests that a node answers before it votes, too."""


class Node:
    """Answers every request, and runs handoff and formation in between."""

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
        """`boot` is this start of the node.

        `space`: what is left on the disk under `store`; None: it never fills up.
        """
        self.name = identity.name
        self.store = store
        self._life = rng.getrandbits(62)
        self._space = space or Unlimited()
        self.ring = ring
        self.boot = boot
        self.peers = Peers(ring.names, store)
        self.ballots = Ballots(identity.node_id, store, clock)
        self.replica = Acceptor(self.name, ring, store, self.ballots)
        self.decided = CommitIndex(identity.node_id, store)
        rounds = OpenRounds(self.ballots)
        self.coordinator = Coordinator(
            self.name,
            ring,
            self.replica,
            self.ballots,
            rounds,
            self.decided,
            transport,
            clock,
            rng,
            timeouts,
        )
        self.fast = FastWrite(
            self.name, ring, self.replica, self.ballots, rounds, transport, self.coordinator
        )
        self.lookup = FastRead(
            self.name, ring, self.replica, self.decided, transport, self.coordinator
        )
        self.handoff = Handoff(ring, self.replica, self.ballots, self.coordinator, transport, clock)
        self.refiller = Refiller(
            self.name,
            ring,
            self.replica,
            self.ballots,
            transport,
            clock,
            self.coordinator.counters,
            self._space.room,
        )
        self.rebuilder = Rebuilder(
            self.name,
            ring,
            store,
            self.replica,
            self.ballots,
            transport,
            clock,
            self.coordinator.counters,
            self._space.room,
        )
        self._transport = transport
        self._rng = rng
        self._peers = {
            tuple(sorted(name for name in cell.nodes if name != self.name))
            for cell in ring.cells
            if self.name in cell.nodes
        }
        self.confirmation = Confirmation(self._peers)
        self.formation = Bootstrap(
            identity,
            store,
            transport,
            clock,
            rng,
            self.ballots,
            self.confirmation,
            self.refiller.take_share,
        )
        self.settling = CommitGossip(
            identity.node_id,
            sorted({peer for peers in self._peers for peer in peers}),
            rounds,
            self.ballots,
            self.coordinator,
            transport,
            clock,
        )
        self.announce: Callable[[DiskNotice], None] = lambda _: None
        """Sends a notice to all callers; the process replaces it once it listens."""
        self.disk_monitor = DiskMonitor(
            self.name, store, clock, DiskHealth(timeouts), self._disk_changed
        )
        self._answers = self._table()

    def _table(self) -> dict[type, Callable[[Any, float], Handling]]:
        replica = self.replica
        return {
            Ping: lambda _, __: Pong(self.votes and self._in_company(), self.disk_monitor.state),
            Membership: lambda _, __: self.formation.member(),
            Form: lambda request, _: self.formation.form(request),
            GetStatus: lambda _, __: Status(msgspec.json.encode(self.status())),
            ReadReplica: lambda request, _: replica.read(request, self.decided.covers),
            ReadVersion: lambda request, _: replica.peek(request, self.decided.covers),
            CoordinateGet: self.lookup.get,
            Propose: lambda request, _: replica.propose(request),
            CoordinateChange: self.fast.do,
            Accept: lambda request, _: replica.accept(request),
            HandoffBatch: lambda request, _: replica.hand(request.states),
            CommitNotice: lambda request, _: self._noted(request),
            Scan: lambda request, _: scan(
                request, self.name, self.ring, replica, self.decided, self._life
            ),
            GetDigests: lambda _, __: self._tally(),
            PullShare: lambda request, _: refill_rows(request, self.ring, replica),
        }

    @property
    def votes(self) -> bool:
        """Whether this node holds its share, and its peers have confirmed its disk."""
        return self.confirmation.complete and self.formation.ready

    async def run(self) -> None:
        """Work until this start of the node is over. Raises `StoreFailed`.

        It is over where a peer has refused this disk, or its rows are to go: start again.
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
            "%s. It gets a new node id and is refilled from the others as soon as all of them"
            " vote; until then its rows stay. There is nothing to do. Next time do not put back"
            " one node's directory: start the node with an empty one",
            self.confirmation.reason,
        )
        await outdate(self.store, self.formation.identity, self._rng)

    async def _work(self) -> None:
        """Join the cluster, then hand off, settle and rebuild for ever. Raises `StoreFailed`."""
        await self.formation.run()
        if not self.formation.ready:
            return
        work = [
            asyncio.ensure_future(each.run())
            for each in (self.handoff, self.settling, self.rebuilder)
        ]
        try:
            await asyncio.gather(*work)
        finally:
            for each in work:
                each.cancel()

    def _noted(self, word: CommitNotice) -> Reply:
        self.decided.told(word.node_id, word.after, word.upto)
        memory = self.coordinator.memory
        memory.issued(word.node_id, word.upto)
        self.peers.reached(word.node_id, word.reached)
        return CommitNoticeAck(memory.expired_ballots())

    def _disk_changed(self, disk: DiskState, give_up: bool) -> None:
        """Report the disk's state to all callers at once.

        Requests in flight go elsewhere only if all other nodes are there to take them.
        """
        condition = self._transport.condition
        give_up = give_up and all(
            condition(peer) <= Condition.SLOW for peers in self._peers for peer in peers
        )
        self.announce(DiskNotice(disk, give_up))

    def _in_company(self) -> bool:
        """Whether it reaches a second node of each of its cells: alone it decides nothing."""
        condition = self._transport.condition
        return all(
            any(condition(peer) is not Condition.DOWN for peer in peers) for peers in self._peers
        )

    @property
    def hello(self) -> Hello:
        """How this start of the node introduces itself."""
        return Hello(PROTOCOL, self.ring.digest, self.name, self.ballots.counter, self.boot)

    async def greet(self, hello: Hello) -> Welcome | Unwelcome:
        """Whether to talk to a caller at all. Raises `StoreFailed`."""
        if hello.protocol != PROTOCOL:
            return Unwelcome(
                f"{self.name} speaks protocol {PROTOCOL}, the caller {hello.protocol}:"
                " run the same version everywhere"
            )
        if hello.ring != self.ring.digest:
            return Unwelcome(
                f"{self.name} is configured with the nodes {', '.join(self.ring.names)},"
                " the caller with others: give every process the same list"
            )
        if hello.boot is not None:
            finding = self.peers.judge(hello.caller, hello.boot)
            if finding is not None:
                return Unwelcome(outdated(self.name, hello.caller, finding), True)
            # Before anything is awaited: from here on the earlier id proposes nothing.
            self.peers.greeted(hello.caller, hello.boot)
            await written(self.peers.remember(hello.caller, hello.boot))
        self.ballots.observe(hello.counter)
        return Welcome(self.name, self.ballots.counter, self.boot)

    def greeted(self, name: str, reply: Welcome | Unwelcome) -> str:
        """A peer has answered this node's Hello; why not to talk to it, empty where one may."""
        if isinstance(reply, Unwelcome):
            if reply.outdated:
                self.confirmation.refuse(reply.reason)
            return reply.reason
        if reply.boot is not None:
            finding = self.peers.judge(name, reply.boot)
            if finding is not None:
                return outdated(self.name, name, finding)
            self.peers.remember(name, reply.boot)
        self.confirmation.confirm(name)
        return ""

    def handle(self, request: Request, deadline: float, caller: Hello | None = None) -> Handling:
        """Answer one request, at once or by a coroutine; `caller` is None for a stranger."""
        kind = type(request)
        answer = self._answers.get(kind)
        if kind is Propose and not self._proposes(request, caller):
            return Failed(f"{self.name} knows the proposer under another node id")
        # `votes`, without the cost of a property for each message.
        votes = self.confirmation.complete and self.formation.ready
        if answer is not None and (votes or kind in _BEFORE_READY):
            if kind in WRITING and not takes(request, self._space.room()):
                scarcest = self._space.scarcest.value
                return Failed(f"the disk of {self.name} is full: it has too few free {scarcest}")
            try:
                return answer(request, deadline)
            except Unreadable as unreadable:
                # Of the data on disk: it was logged as it was found, and others have the record.
                return Failed(f"{self.name}: {unreadable}")
            except (DamagedState, WrongCell, StoreFailed) as error:
                # All three come of looking at what is held, before anything is done.
                if isinstance(error, DamagedState) and self._holds_malformed(request):
                    return Failed(f"{self.name}: {error}")
                self.coordinator.complaints.about(error, getattr(request, "key", b""))
                return Failed(f"{self.name}: {error}")
        if answer is None:
            return Failed(f"{type(request).__name__} is not a request to a node")
        if self.formation.ready:
            return Failed(f"{self.name} waits until another node confirms its disk")
        return Failed(f"{self.name} is still joining the cluster")

    def _proposes(self, request: Request, caller: Hello | None) -> bool:
        """Whether the caller, by its latest Hello, may issue the ballot of a Propose."""
        return (
            caller is not None
            and isinstance(request, Propose)
            and self.peers.proposes(caller.caller, request.ballot.node)
        )

    def _holds_malformed(self, request: Request) -> bool:
        """Whether it is this node's own state that is malformed; it is damaged from now on."""
        if not hasattr(request, "key"):
            return False
        try:
            self.replica.state(request.key)
        except Unreadable:
            return True
        except WrongCell:
            return False
        return False

    async def _tally(self) -> Reply:
        damaged = self.replica.damage.partitions
        # Of hints that this node may have lost it cannot say who holds them.
        hints = self.replica.hints.keepers() | dict.fromkeys(damaged, ())
        reply = Digests(self.replica.tallies.packed(), hints, damaged)
        await self.replica.writes.all_durable()
        return reply

    def status(self) -> dict[str, object]:
        """JSON-ready facts about this node."""
        hints = self.replica.hints
        waiting: dict[str, int] = {}
        since: dict[str, int] = {}
        for number, count in hints.counts.items():
            target = self.handoff.target(number)
            waiting[target] = waiting.get(target, 0) + count
            since[target] = min(since.get(target, 1 << 62), hints.since_ms[number])
        return {
            "name": self.name,
            "node_id": self.ballots.node_id,
            "state": "ready" if self.votes else "joining",
            "stage": self.formation.identity.stage.name.lower(),
            "waits_for": list(self.formation.missing),
            "refill": self.refiller.status(),
            "room": self._space.room().name.lower(),
            "scarcest": self._space.scarcest.value,
            "disk": self.disk_monitor.state.name.lower(),
            "damaged_partitions": len(self.replica.damage.partitions),
            "records": self.replica.tallies.live,
            "hints": [
                {"for": target, "count": waiting[target], "since": _iso(since[target])}
                for target in sorted(waiting)
            ],
            "disk_bytes": self.store.disk_bytes(),
            "counters": {
                field: getattr(self.coordinator.counters, field)
                for field in self.coordinator.counters.__slots__
            },
        }

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.formation!r} {self.replica!r}>"


def _iso(milliseconds: int) -> str:
    moment = dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
    return moment.isoformat(timespec="seconds")
