"""The coordinator: decides an operation on one record with any one other node of its cell.

CASPaxos (Rystsov 2018), a register per record whose change function is the operation, with the
two phases folded into one message while the replicas agree. Two orders matter and must not be
"improved": the partner stores before this node does, so that a stored state whose newest dot is
one's own is known to be decided; and a partner's answer is held against one's own state as it is
when the answer comes, not as it was when the question went.
"""

import asyncio
import random

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.dedup_window import DedupWindow
from ddb.node.consensus.key_queue import KeyQueue
from ddb.node.consensus.open_rounds import Fate, OpenRounds
from ddb.node.consensus.quorum_peers import Expired, QuorumPeers
from ddb.node.consensus.quorum_read import QuorumRead
from ddb.node.metrics import Cause, NodeMetrics
from ddb.node.replica.acceptor import Acceptor, Verdict
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.complaints import Complaints
from ddb.node.storage.store import Unreadable
from ddb.record.change import Change, Outcome, verdict
from ddb.record.codec import decode, encode
from ddb.record.state import SETTLE, DamagedState, Intent, Operation, State, Step, remembered, step
from ddb.ring.ring import Ring
from ddb.wire.messages import Accept, Accepted, Propose, Rejected, ReplicaState, Reply
from ddb.wire.ports import Clock, Transport
from ddb.wire.timeouts import DEFAULT, Timeouts

CONTENTION_PAUSE_S = 0.004
"""Mean seconds between ballots that met a newer promise, at least; as many as a ballot takes, if
that is longer, up to `Timeouts.give_way_s`."""


class Outrun(Exception):
    """Another coordinator was met, whose round does as well."""


class KeyedLogFull(Exception):
    """The record remembers too many keyed operations; this one was not begun."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"its oldest keyed operations are forgotten in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Coordinator:
    """Runs operations on records of whose cells the node `name` is one."""

    def __init__(
        self,
        name: str,
        ring: Ring,
        replica: Acceptor,
        ballots: Ballots,
        rounds: OpenRounds,
        decided: CommitIndex,
        transport: Transport,
        clock: Clock,
        rng: random.Random,
        timeouts: Timeouts = DEFAULT,
    ) -> None:
        self.counters = NodeMetrics()
        self.timeouts = timeouts
        self.complaints = Complaints(name)
        self.memory = DedupWindow(clock)
        self._name = name
        self._ring = ring
        self._replica = replica
        self._ballots = ballots
        self._rounds = rounds
        self._partners = QuorumPeers(name, ring, transport, clock, self.counters, timeouts)
        self._agreement = QuorumRead(ring, replica, decided, self._partners, clock, self.counters)
        self._clock = clock
        self._rng = rng
        self.queue = KeyQueue()

    async def read(self, key: bytes, deadline: float) -> State:
        """The record's decided state. Raises `Expired`, `WrongCell`, `StoreFailed`."""
        self.counters.operations += 1
        return await self.agree(key, deadline, self._clock.now())

    async def agree(self, key: bytes, deadline: float, since: float) -> State:
        """As `read`, for whoever has known of it `since` then."""
        state = await self._agreement.find(key, deadline, since)
        if state is None:
            async with self.queue.turn(key, since) as word:
                if word is not None:
                    return word
                self._late(key, since, deadline, False)
                state = await self._settle(key, deadline, since)
        return state

    async def change(
        self,
        key: bytes,
        change: Change,
        operation: Operation,
        retry: bool,
        deadline: float,
        begin_ms: int = 0,
    ) -> tuple[Outcome, State]:
        """Decide one change; the outcome and the state after it.

        Raises as `read`, `KeyedLogFull` and `Crowded`. `retry`: another attempt at `operation` may
        be under way or have taken effect. `begin_ms`: as in `Do`.
        """
        self.counters.operations += 1
        began = self._clock.now()
        # Longer, and the gateway would take this node for one that lost the request.
        within_s = min(deadline - began - begin_ms / 1000, self.timeouts.admission_s)
        async with self.queue.turn(key, within_s=within_s):
            self._late(key, began, deadline, retry)
            return await self.decide(key, change, operation, retry, deadline, began)

    async def decide(
        self,
        key: bytes,
        change: Change,
        operation: Operation,
        retry: bool,
        deadline: float,
        since: float,
        begun: bool = False,
    ) -> tuple[Outcome, State]:
        """As `change`, in the key's turn; `since` is when the change arrived.

        `begun`: a proposal of this very change may have been stored.
        """
        own = self._replica.state(key)
        foreseen = remembered(own, operation)
        refused = not retry and verdict(change, own.value) is not Outcome.DONE
        full = not begun and self._full_for_s(own, operation) is not None
        if foreseen is not None or refused or full:
            try:
                own = await self._settle(key, deadline, since)
            except (Expired, Unreadable) as error:
                raise Expired(retry or foreseen is not None, str(error)) from error
            known = remembered(own, operation)
            if known is not None:
                return known, own
            # Only the decided state proves that no earlier request has taken effect.
            full_for_s = self._full_for_s(own, operation)
            if full and full_for_s is not None:
                raise KeyedLogFull(full_for_s)
            refusal = verdict(change, own.value)
            if refusal is not Outcome.DONE and not retry:
                return refusal, own
        intent = Intent(change, operation)
        made = await self._round(key, intent, deadline, since, retry, begun=begun)
        return made.outcome, made.state

    async def refresh(self, key: bytes, deadline: float) -> State:
        """Give the record's state a new ballot, above whatever held the old one back.

        Raises as `read`, and `Outrun` where somebody else is about to do just that.
        """
        async with self.queue.turn(key):
            now = self._clock.now()
            return (await self._round(key, SETTLE, deadline, now, False, Cause.REPAIR)).state

    async def _settle(self, key: bytes, deadline: float, since: float) -> State:
        """The decided state, by a full round if that is what it takes; for the key's turn only."""
        began = self._clock.now()
        state = await self._agreement.find(key, deadline, since)
        if state is None:
            return (await self._round(key, SETTLE, deadline, since, False)).state
        self.queue.tell(key, began, state)
        return state

    async def _round(
        self,
        key: bytes,
        intent: Intent,
        deadline: float,
        since: float,
        doubt: bool,
        cause: Cause = Cause.OPERATION,
        begun: bool = False,
    ) -> Step:
        """Decide `intent` under ballots of our own; for the key's turn only.

        Not if both partners were silent `since` then.

        `doubt`: some attempt may have left an undecided state behind, so a refusal must be
        recorded before it is told. `begun`: so may an attempt of this very call.
        """
        partners = self._partners.of(key, since)
        partner = next(partners)
        while True:
            self._check(deadline, doubt, "no partner answered in time")
            wanted, began = Intent(intent.change, intent.operation, doubt), self._clock.now()
            try:
                made, reply = await self._attempt(key, wanted, partner, deadline, cause, begun)
            except DamagedState as damage:
                self.complaints.about(damage, key)
                raise Expired(doubt, f"{self._name}: {damage}") from damage
            except Unreadable as unreadable:
                # Read before this attempt sends anything, so only earlier ones leave a doubt.
                raise Expired(doubt, str(unreadable)) from unreadable
            if made is not None:
                # Whoever has waited since before can as well have read it in this very round.
                self.queue.tell(key, began, made.state)
                return made
            if isinstance(reply, Rejected):
                self.counters.contended += 1
                self._ballots.observe(reply.promise.counter)
                if cause is Cause.REPAIR and reply.promise.node:
                    raise Outrun
                await self._give_way(began)
            elif isinstance(reply, Accepted):
                doubt = begun = True
                await self._give_way(began)
            else:
                doubt = doubt or reply is None
                begun = begun or reply is None
                await self._partners.failed(partner, key, since, doubt, reply)
                partner = next(partners)

    async def _give_way(self, began: float) -> None:
        """Let another round end, which takes about as long as our ballot that `began` then.

        Shorter pauses have two coordinators overtake each other until one runs out of time.
        """
        took = self._clock.now() - began
        pause = min(max(took, CONTENTION_PAUSE_S), self.timeouts.give_way_s)
        await asyncio.sleep(self._rng.uniform(0, 2 * pause))

    async def _attempt(
        self,
        key: bytes,
        wanted: Intent,
        partner: str,
        deadline: float,
        cause: Cause,
        begun: bool,
    ) -> tuple[Step | None, Reply | None]:
        """One ballot with one partner: what was decided, if anything was, and the last reply."""
        replica, first, fate = self._replica, self._rounds.begin(key), Fate.NEVER_STORED
        try:
            ballot = await self._ballots.issue(above=replica.promised(key))
            while replica.promised(key) > ballot:
                ballot = await self._ballots.issue(above=replica.promised(key))
            own = replica.state(key)
            replica.promise(key, ballot)
            self.counters.rounds += 1
            made = step(own, own, wanted, ballot, self.memory)
            raw = encode(made.state)
            fate = Fate.UNKNOWN
            reply = await self._partners.ask(
                partner, Propose(key, ballot, own.newest, raw), deadline, cause
            )
            if isinstance(reply, ReplicaState):
                # The partner has promised and not stored: if this ends here, nothing is left open.
                fate = Fate.NEVER_STORED
                theirs = decode(reply.state)
                base, other = (own, theirs) if own.newest >= theirs.newest else (theirs, own)
                full_for_s = None if begun else self._full_for_s(base, wanted.operation)
                if full_for_s is not None:
                    # The partner has promised and not stored, and nothing else is under way.
                    fate = Fate.NEVER_STORED
                    raise KeyedLogFull(full_for_s)
                made = step(base, other, wanted, ballot, self.memory)
                raw = encode(made.state)
                fate = Fate.UNKNOWN
                reply = await self._partners.ask(partner, Accept(key, raw), deadline, cause)
                if isinstance(reply, Accepted):
                    self.counters.repaired(base, other)
            if isinstance(reply, Accepted):
                if replica.offer(key, raw) is Verdict.STORED:
                    await replica.writes.key_durable(key)
                    fate = Fate.DECIDED
                    return made, reply
            elif reply is not None:
                fate = Fate.NEVER_STORED
            return None, reply
        finally:
            self._rounds.end(key, first, fate)

    def begins_too_late(self, deadline: float, begin_ms: int) -> bool:
        """Whether a change has less time left than it must have when it is begun."""
        return (deadline - self._clock.now()) * 1000 < begin_ms

    def since(self, silent: str | None) -> float:
        """This moment, since which a partner counts as `silent`, if one was."""
        return self._clock.now() if silent is None else self._partners.silent(silent)

    def _late(self, key: bytes, began: float, deadline: float, maybe: bool) -> None:
        """A turn has come. Raises `Expired` where it is of no more use.

        Whoever had it before has found both partners silent: the time is left to a third node.
        """
        self._check(deadline, maybe, "its turn on this record came too late")
        if self._partners.lost(key, began):
            raise Expired(maybe, "neither partner answered")

    def _check(self, deadline: float, maybe: bool, reason: str) -> None:
        if self._clock.now() >= deadline:
            raise Expired(maybe, reason)

    def _full_for_s(self, state: State, operation: Operation | None) -> int | None:
        """Seconds until `state` has room for an operation, None where it has or needs none."""
        if operation is None or not operation.fingerprint:
            return None
        left_s = self.memory.full_for_s(state)
        return left_s if left_s is None or remembered(state, operation) is None else None

    def __repr__(self) -> str:
        return f"<Coordinator {self._name} {self.counters.operations} operations>"
