"""The proposer: rounds that decide an operation under this node's own ballots.

The algorithm is CASPaxos (Rystsov 2018): one register per record, with the operation as the change
function. Both phases share one message while the two replicas agree.

One order is part of the proof: the peer stores before this node does. A stored state whose newest
dot is this node's own is therefore decided.
"""

import asyncio
import random
from dataclasses import dataclass

from ddb.node.consensus.dedup_window import DedupWindow
from ddb.node.consensus.key_queue import KeyQueue
from ddb.node.consensus.open_rounds import Fate, OpenRounds
from ddb.node.consensus.quorum_peers import Expired, QuorumPeers
from ddb.node.metrics import Cause, NodeMetrics
from ddb.node.replica.acceptor import Acceptor, Verdict
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.complaints import Complaints
from ddb.node.storage.store import Unreadable
from ddb.record.codec import decode, encode
from ddb.record.state import DamagedState, Intent, Step, step
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


class KeyedLogFull(Exception):
    """The record remembers too many keyed operations. The operation was not begun."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            f"the record has no room for one more keyed operation, and nothing changed; the oldest"
            f" ones expire in {retry_after_s} s: retry then"
        )
        self.retry_after_s = retry_after_s


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
        intent: Intent,
        deadline: float,
        failed_after: float,
        in_doubt: bool,
        cause: Cause = Cause.OPERATION,
        proposed: bool = False,
    ) -> Step:
        """Run rounds until one decides `intent`.

        Args:
            key: the record.
            intent: the change; `in_doubt` replaces its flag.
            deadline: by the steady clock, in seconds.
            failed_after: gives up once both peers have failed at or after this time, in seconds.
            in_doubt: True if an earlier attempt may have left an undecided state. A refusal is then
                recorded before it is sent. False if no attempt has.
            cause: the counter that the messages add to. A repair gives way to another proposer.
            proposed: True if a peer may have stored a proposal of this very call. False if not.

        Raises:
            Expired: no round was decided in time, or both peers failed.
            KeyedLogFull: the record has no room for the operation, and nothing was stored.
            Outrun: a repair met another proposer.
        """
        candidates = self.peers.by_preference(key, failed_after)
        peer = next(candidates)
        while True:
            began = self.clock.now()
            if began >= deadline:
                raise Expired(in_doubt, "no peer replied in time")
            current = Intent(intent.change, intent.operation, in_doubt)
            try:
                made, reply = await self._attempt(key, current, peer, deadline, cause, proposed)
            except DamagedState as damage:
                self.complaints.about(damage, key)
                raise Expired(in_doubt, f"{self.name}: {damage}") from damage
            except Unreadable as unreadable:
                # An attempt reads before it sends, so only earlier attempts leave a doubt.
                raise Expired(in_doubt, str(unreadable)) from unreadable
            if made is not None:
                # Reads that were queued before this round see its result as a read in it would.
                self.queue.resolve_reads(key, began, made.state)
                return made
            if isinstance(reply, Rejected):
                self.counters.contended += 1
                self.ballots.observe(reply.promise.counter)
                if cause is Cause.REPAIR and reply.promise.node:
                    raise Outrun
                await self._back_off(began)
            elif isinstance(reply, Accepted):
                in_doubt = proposed = True
                await self._back_off(began)
            else:
                in_doubt = in_doubt or reply is None
                proposed = proposed or reply is None
                await self.peers.handle_failure(peer, key, failed_after, in_doubt, reply)
                peer = next(candidates)

    async def _back_off(self, began: float) -> None:
        """Pause for about as long as the ballot that began at `began` took.

        The other proposer's round ends in that time. After shorter pauses two proposers overtake
        each other until one runs out of time.
        """
        took = self.clock.now() - began
        pause = min(max(took, CONTENTION_PAUSE_S), self.timeouts.give_way_s)
        await asyncio.sleep(self.rng.uniform(0, 2 * pause))

    async def _attempt(
        self,
        key: bytes,
        intent: Intent,
        peer: str,
        deadline: float,
        cause: Cause,
        proposed: bool,
    ) -> tuple[Step | None, Reply | None]:
        """Run one ballot with one peer. Return the decided step, if any, and the last reply."""
        replica, attempted, fate = self.replica, self.rounds.begin(key), Fate.NEVER_STORED
        try:
            ballot = await self.ballots.issue(above=replica.promised(key))
            while replica.promised(key) > ballot:
                ballot = await self.ballots.issue(above=replica.promised(key))
            own = replica.copies.state(key)
            replica.promise(key, ballot)
            self.counters.rounds += 1
            made = step(own, own, intent, ballot, self.dedup_window)
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
                full_for_s = (
                    None
                    if proposed
                    else self.dedup_window.full_for_operation_s(base, intent.operation)
                )
                if full_for_s is not None:
                    raise KeyedLogFull(full_for_s)
                made = step(base, other, intent, ballot, self.dedup_window)
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

    def __repr__(self) -> str:
        return f"<Proposer {self.name} {self.counters.rounds} rounds>"
