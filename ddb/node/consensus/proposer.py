"""The proposer: rounds that decide operations under this node's own ballots.

The algorithm is CASPaxos (Rystsov 2018): one register per record, with the operation as the change
function. Both phases share one message while the two replicas agree. One round decides all changes
that the record's queue gives it together.

One order is part of the proof: the peer stores before this node does. A stored state whose newest
dot is this node's own is therefore decided.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ddb.node.consensus.dedup_window import DedupWindow
from ddb.node.consensus.key_queue import KeyQueue
from ddb.node.consensus.open_rounds import Fate, OpenRounds
from ddb.node.consensus.pending_change import KeyedLogFull, PendingChange, expire, in_time
from ddb.node.consensus.quorum_peers import Expired, QuorumPeers
from ddb.node.metrics import Cause, NodeMetrics
from ddb.node.replica.acceptor import Acceptor, Verdict
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.complaints import Complaints
from ddb.node.storage.store import Unreadable
from ddb.record.codec import decode, encode
from ddb.record.combined import Combined, combine
from ddb.record.state import ABSENT, DamagedState, State
from ddb.record.version import Dot
from ddb.wire.messages import Accept, Accepted, Propose, Rejected, ReplicaState, Reply
from ddb.wire.ports import Clock
from ddb.wire.timeouts import Timeouts

CONTENTION_PAUSE_S = 0.004
"""Least mean pause, in seconds, before the next ballot after a rejected one.

The mean is the time of the rejected ballot if that is longer, up to `Timeouts.give_way_s`. Too low:
two proposers on one record overtake each other until one runs out of time. Too high: contended
changes wait with no need.
"""


class Outrun(Exception):
    """Another proposer's round on the record makes this round needless."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Proposer:
    """Runs rounds for the node `name`. The caller has the key's turn."""

    name: str
    replica: Acceptor
    ballots: Ballots
    rounds: OpenRounds
    peers: QuorumPeers
    queue: KeyQueue
    dedup_window: DedupWindow
    complaints: Complaints
    counters: NodeMetrics
    clock: Clock
    rng: random.Random
    timeouts: Timeouts

    async def decide(
        self,
        key: bytes,
        changes: Sequence[PendingChange],
        failed_after: float,
        cause: Cause = Cause.OPERATION,
    ) -> None:
        """Run rounds until one decides all of `changes`, and set their results.

        A change whose deadline passes first ends undecided; the others go on. If a message without
        a reply covers a change, that change is in doubt from then on.

        Args:
            key: the record.
            changes: in order of arrival.
            failed_after: gives up once both peers have failed at or after this time, in seconds.
            cause: the counter that the messages add to. A repair gives way to another proposer.

        Raises:
            Outrun: a repair met another proposer.
        """
        candidates = self.peers.by_preference(key, failed_after)
        peer = next(candidates)
        while True:
            began = self.clock.now()
            changes = in_time(changes, began)
            if not changes:
                return
            try:
                made, reply = await self._attempt(key, changes, peer, cause)
            except DamagedState as damage:
                self.complaints.about(damage, key)
                expire(changes, f"{self.name}: {damage}")
                return
            except Unreadable as unreadable:
                # An attempt reads before it sends, so only earlier attempts leave a doubt.
                expire(changes, str(unreadable))
                return
            if made is not None:
                self._end(changes, made)
                # Reads that were queued before this round see its result as a read in it would.
                self.queue.resolve_reads(key, began, made.state)
                return
            if isinstance(reply, Rejected):
                self.counters.contended += 1
                self.ballots.observe(reply.promise.counter)
                if cause is Cause.REPAIR and reply.promise.node:
                    raise Outrun
                await self._back_off(began)
            elif isinstance(reply, Accepted):
                await self._back_off(began)
            else:
                try:
                    await self.peers.handle_failure(peer, key, failed_after, began, reply)
                except Expired as expired:
                    expire(changes, str(expired))
                    return
                peer = next(candidates)

    def _end(self, changes: Sequence[PendingChange], made: Combined) -> None:
        """Give each change its own result of the round that two nodes store."""
        for change, step in zip(changes, made.steps, strict=True):
            # The round's base is decided, so it proves that no earlier attempt has taken effect.
            change.result = step or KeyedLogFull(self.dedup_window.full_for_s(made.state) or 1)

    async def _back_off(self, began: float) -> None:
        """Pause for about as long as the ballot that began at `began` took.

        The other proposer's round ends in that time. After shorter pauses two proposers overtake
        each other until one runs out of time.
        """
        took = self.clock.now() - began
        pause = min(max(took, CONTENTION_PAUSE_S), self.timeouts.give_way_s)
        await asyncio.sleep(self.rng.uniform(0, 2 * pause))

    async def _attempt(
        self, key: bytes, changes: Sequence[PendingChange], peer: str, cause: Cause
    ) -> tuple[Combined | None, Reply | None]:
        """Run one ballot with one peer. Return the decided steps, if any, and the last reply."""
        replica, attempted, fate = self.replica, self.rounds.begin(key), Fate.NEVER_STORED
        made, deadline = Combined(ABSENT, ()), min(change.deadline for change in changes)
        try:
            ballot = await self.ballots.issue(above=replica.promised(key))
            while replica.promised(key) > ballot:
                ballot = await self.ballots.issue(above=replica.promised(key))
            own = replica.copies.state(key)
            replica.promise(key, ballot)
            self.counters.rounds += 1
            made = self._combine(own, own, changes, ballot)
            raw = encode(made.state)
            fate = Fate.UNKNOWN
            reply = await self.peers.ask(
                peer, Propose(key, ballot, own.newest, raw), deadline, cause
            )
            if isinstance(reply, ReplicaState):
                # The peer has promised and not stored, so an end here leaves nothing open.
                fate = Fate.NEVER_STORED
                theirs = decode(reply.state)
                base, other = (own, theirs) if own.newest >= theirs.newest else (theirs, own)
                made = self._combine(base, other, changes, ballot)
                raw = encode(made.state)
                fate = Fate.UNKNOWN
                reply = await self.peers.ask(peer, Accept(key, raw), deadline, cause)
                if isinstance(reply, Accepted):
                    self.counters.count_repair(base, other)
            if isinstance(reply, Accepted):
                if replica.offer(key, raw) is Verdict.STORED:
                    await replica.writes.wait_key(key)
                    fate = Fate.DECIDED
                    return made, reply
            elif reply is not None:
                fate = Fate.NEVER_STORED
            return None, reply
        finally:
            attempted.end(fate)
            if fate is Fate.UNKNOWN:
                _doubt(changes, made)

    def _combine(
        self, base: State, other: State, changes: Sequence[PendingChange], ballot: Dot
    ) -> Combined:
        intents = [change.intent for change in changes]
        return combine(
            base, other, intents, ballot, self.dedup_window, self.dedup_window.room(base)
        )

    def __repr__(self) -> str:
        return f"<Proposer {self.name} {self.counters.rounds} rounds>"


def _doubt(changes: Sequence[PendingChange], proposed: Combined) -> None:
    """Put the changes in doubt that a state covers which a peer may have stored."""
    for change, step in zip(changes, proposed.steps, strict=True):
        if step is not None:
            change.doubt(proposed=True)
