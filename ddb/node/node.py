"""A whole node, on ports: everything but the process, the socket and the disk."""

import asyncio
import datetime as dt
import logging
import random
from collections.abc import Callable
from typing import Any

import msgspec

from ddb.node.ballots import Ballots
from ddb.node.coordinator import Coordinator
from ddb.node.decided import Decided
from ddb.node.fastpath import FastPath
from ddb.node.formation import Formation
from ddb.node.handoff import Handoff
from ddb.node.identity import Identity
from ddb.node.listing import scan
from ddb.node.lookup import Lookup
from ddb.node.rebuild import Rebuilder
from ddb.node.refill import Refiller, refill_rows
from ddb.node.replica import Replica, WrongCell
from ddb.node.rounds import Rounds
from ddb.node.settling import Settling
from ddb.node.space import WRITING, Room, takes
from ddb.node.store import Store, StoreFailed, Unreadable
from ddb.record.state import DamagedState
from ddb.ring.ring import Ring
from ddb.wire.messages import (
    PROTOCOL,
    Accept,
    Do,
    Ended,
    Facts,
    Failed,
    Form,
    Get,
    Hand,
    Hello,
    Membership,
    Noted,
    Peek,
    Ping,
    Pong,
    Propose,
    Read,
    Refill,
    Reply,
    Report,
    Request,
    Scan,
    Tallies,
    Tally,
    Unwelcome,
    Welcome,
)
from ddb.wire.ports import Clock, Condition, Handling, Transport

log = logging.getLogger(__name__)

_ALWAYS = frozenset({Ping, Membership, Form, Report})
"""Answered before this node votes, too."""
_MOST_COMPLAINTS = 1000
_MEANING: dict[type[Exception], str] = {
    DamagedState: "what it was sent is no record of this version, and its own copy is as before:"
    " run the same version everywhere",
    WrongCell: "the record is not lost, but the caller has another ring: give every process the"
    " same list of nodes and the same version",
    StoreFailed: "what was answered as stored is on another node too; this one stops",
}
"""What it means for the data that a request met one of these before anything was done."""


class Node:
    """Answers every request, and runs handoff and formation in between."""

    def __init__(
        self,
        identity: Identity,
        ring: Ring,
        store: Store,
        transport: Transport,
        clock: Clock,
        rng: random.Random,
        room: Callable[[], Room] = lambda: Room.AMPLE,
    ) -> None:
        """`room`: what is left on the disk under `store`."""
        self.name = identity.name
        self.store = store
        self._life = rng.getrandbits(62)
        self._room = room
        self.ring = ring
        self.ballots = Ballots(identity.node_id, store, clock)
        self.replica = Replica(self.name, ring, store, self.ballots)
        self.decided = Decided(identity.node_id, store)
        rounds = Rounds(self.ballots)
        self.coordinator = Coordinator(
            self.name, ring, self.replica, self.ballots, rounds, self.decided, transport, clock, rng
        )
        self.fast = FastPath(
            self.name, ring, self.replica, self.ballots, rounds, transport, self.coordinator
        )
        self.lookup = Lookup(
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
            room,
        )
        self.formation = Formation(
            identity, store, transport, clock, rng, self.ballots, self.refiller.take_share
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
            room,
        )
        self._transport = transport
        self._peers = {
            tuple(sorted(name for name in cell.nodes if name != self.name))
            for cell in ring.cells
            if self.name in cell.nodes
        }
        self.settling = Settling(
            identity.node_id,
            sorted({peer for peers in self._peers for peer in peers}),
            rounds,
            self.coordinator,
            transport,
            clock,
        )
        self._answers = self._table()
        self._complaints: set[tuple[type, bytes]] = set()

    def _table(self) -> dict[type, Callable[[Any, float], Handling]]:
        replica = self.replica
        return {
            Ping: lambda _, __: Pong(self.formation.ready and self._in_company()),
            Membership: lambda _, __: self.formation.member(),
            Form: lambda request, _: self.formation.form(request),
            Report: lambda _, __: Facts(msgspec.json.encode(self.status())),
            Read: lambda request, _: replica.read(request, self.decided.covers),
            Peek: lambda request, _: replica.peek(request, self.decided.covers),
            Get: self.lookup.get,
            Propose: lambda request, _: replica.propose(request),
            Do: self.fast.do,
            Accept: lambda request, _: replica.accept(request),
            Hand: lambda request, _: replica.hand(request.states),
            Ended: lambda request, _: self._noted(request),
            Scan: lambda request, _: scan(
                request, self.name, self.ring, replica, self.decided, self._life
            ),
            Tally: lambda _, __: self._tally(),
            Refill: lambda request, _: refill_rows(request, self.ring, replica),
        }

    async def run(self) -> None:
        """Join the cluster, then hand off, settle and rebuild for ever. Raises `StoreFailed`."""
        await self.formation.run()
        work = [
            asyncio.ensure_future(each.run())
            for each in (self.handoff, self.settling, self.rebuilder)
        ]
        try:
            await asyncio.gather(*work)
        finally:
            for each in work:
                each.cancel()

    def _noted(self, word: Ended) -> Reply:
        self.decided.told(word.node_id, word.since, word.upto)
        return Noted()

    def _in_company(self) -> bool:
        """Whether it reaches a second node of each of its cells: alone it decides nothing."""
        condition = self._transport.condition
        return all(
            any(condition(peer) is not Condition.DOWN for peer in peers) for peers in self._peers
        )

    def greet(self, hello: Hello) -> Welcome | Unwelcome:
        """Whether to talk to a caller at all."""
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
        self.ballots.observe(hello.counter)
        return Welcome(self.name, self.ballots.node_id, self.ballots.counter)

    def handle(self, request: Request, deadline: float) -> Handling:
        """Answer one request, at once or by a coroutine."""
        kind = type(request)
        answer = self._answers.get(kind)
        if answer is not None and (self.formation.ready or kind in _ALWAYS):
            if kind in WRITING and not takes(request, self._room()):
                return Failed(f"the disk of {self.name} is full")
            try:
                return answer(request, deadline)
            except Unreadable as unreadable:
                # Of the data on disk: it was logged as it was found, and others have the record.
                return Failed(f"{self.name}: {unreadable}")
            except (DamagedState, WrongCell, StoreFailed) as error:
                # All three come of looking at what is held, before anything is done.
                if isinstance(error, DamagedState) and self._holds_malformed(request):
                    return Failed(f"{self.name}: {error}")
                self._complain(error, getattr(request, "key", b""))
                return Failed(f"{self.name}: {error}")
        if answer is None:
            return Failed(f"{type(request).__name__} is not a request to a node")
        return Failed(f"{self.name} is still joining the cluster")

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

    def _complain(self, error: Exception, key: bytes) -> None:
        """Tell the operator, once per record: a client may ask for it again and again."""
        complaint = (type(error), key)
        if complaint in self._complaints or len(self._complaints) >= _MOST_COMPLAINTS:
            return
        self._complaints.add(complaint)
        log.error(
            "%s refused a request for %r, and nothing was done: %s: %s",
            self.name,
            key,
            error,
            _MEANING[type(error)],
        )

    async def _tally(self) -> Reply:
        damaged = self.replica.damage.partitions
        # Of hints that this node may have lost it cannot say who holds them.
        hints = self.replica.hints.keepers() | dict.fromkeys(damaged, ())
        reply = Tallies(self.replica.tallies.packed(), hints, damaged)
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
            "state": "ready" if self.formation.ready else "joining",
            "stage": self.formation.identity.stage.name.lower(),
            "waits_for": list(self.formation.missing),
            "refill": self.refiller.status(),
            "room": self._room().name.lower(),
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
