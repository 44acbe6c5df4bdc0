"""The coordinator: decides an operation on one record with any one other node of its cell.

CASPaxos (Rystsov 2018), a register per record whose change function is the operation, with the
two phases folded into one message while the replicas agree. Two orders matter and must not be
"improved": the partner stores before this node does, so that a stored state whose newest dot is
one's own is known to be decided; and a partner's answer is held against one's own state as it is
when the answer comes, not as it was when the question went.
"""

import asyncio
import random

from ddb.node.ballots import Ballots
from ddb.node.counters import Cause, Counters
from ddb.node.decided import Decided
from ddb.node.memory import MOST_KEYED, Memory
from ddb.node.partners import PARTNERS, Partners
from ddb.node.queue import KeyQueue
from ddb.node.replica import Replica, Verdict
from ddb.node.rounds import Fate, Rounds
from ddb.record.change import Change, Outcome, verdict
from ddb.record.state import (
    SETTLE,
    Intent,
    Operation,
    State,
    Step,
    decode,
    encode,
    peek,
    remembered,
    step,
)
from ddb.record.version import Order, compare
from ddb.ring.ring import Ring
from ddb.wire.messages import Accept, Holds, Propose, Read, Refused, Reply, Same, Stored
from ddb.wire.ports import Clock, Transport

PAUSE = 0.004
"""Mean seconds between ballots that met a newer promise."""


class Expired(Exception):
    """Not decided: no time is left, or no partner. `maybe`: the change may yet take effect."""

    def __init__(self, maybe: bool, reason: str) -> None:
        super().__init__(reason)
        self.maybe = maybe


class Outrun(Exception):
    """Another coordinator was met, whose round does as well."""


class Coordinator:
    """Runs operations on records of whose cells the node `name` is one."""

    def __init__(
        self,
        name: str,
        ring: Ring,
        replica: Replica,
        ballots: Ballots,
        rounds: Rounds,
        decided: Decided,
        transport: Transport,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.counters = Counters()
        self.memory = Memory(clock)
        self._name = name
        self._ring = ring
        self._replica = replica
        self._ballots = ballots
        self._rounds = rounds
        self._decided = decided
        self._partners = Partners(name, ring, transport, self.counters)
        self._clock = clock
        self._rng = rng
        self.queue = KeyQueue()

    async def read(self, key: bytes, deadline: float) -> State:
        """The record's decided state. Raises `Expired`, `WrongCell`, `StoreFailed`."""
        self.counters.operations += 1
        state = await self._agree(key, deadline)
        if state is None:
            async with self.queue.turn(key):
                state = await self._settle(key, deadline)
        return state

    async def change(
        self, key: bytes, change: Change, operation: Operation, retry: bool, deadline: float
    ) -> tuple[Outcome, State]:
        """Decide one change; the outcome and the state after it. Raises as `read`.

        `retry`: another attempt at `operation` may be under way or have taken effect.
        """
        self.counters.operations += 1
        async with self.queue.turn(key):
            self._check(deadline, retry, "its turn on this record came too late")
            return await self.decide(key, change, operation, retry, deadline)

    async def decide(
        self, key: bytes, change: Change, operation: Operation, retry: bool, deadline: float
    ) -> tuple[Outcome, State]:
        """As `change`, for whoever has the key's turn."""
        own = self._replica.state(key)
        if operation.fingerprint and self._overfull(own):
            raise Expired(retry, "too many named operations on this record in ten minutes")
        foreseen = remembered(own, operation)
        if foreseen is None:
            self.memory.begun(operation)
        if foreseen is not None or (not retry and verdict(change, own.value) is not Outcome.DONE):
            try:
                own = await self._settle(key, deadline)
            except Expired as expired:
                raise Expired(retry or foreseen is not None, str(expired)) from expired
            known = remembered(own, operation)
            if known is not None:
                return known, own
            refusal = verdict(change, own.value)
            if refusal is not Outcome.DONE and not retry:
                return refusal, own
        made = await self._round(key, Intent(change, operation), deadline, retry)
        return made.outcome, made.state

    async def refresh(self, key: bytes, deadline: float) -> State:
        """Give the record's state a new ballot, above whatever held the old one back.

        Raises as `read`, and `Outrun` where somebody else is about to do just that.
        """
        async with self.queue.turn(key):
            return (await self._round(key, SETTLE, deadline, False, Cause.REPAIR)).state

    async def _settle(self, key: bytes, deadline: float) -> State:
        """As `_agree`, with a full round where that is what it takes; for the key's turn only."""
        state = await self._agree(key, deadline)
        if state is None:
            state = (await self._round(key, SETTLE, deadline, False)).state
        return state

    async def _agree(self, key: bytes, deadline: float) -> State | None:
        """The state that two replicas hold, one of them repaired if need be.

        None where a replica refused to be repaired, which takes a full round.
        """
        partners, failed = self._partners.of(key), set[str]()
        while True:
            self._check(deadline, False, "no partner answered in time")
            partner = next(partners)
            asked = self._replica.newest(key)
            reply = await self._partners.ask(partner, Read(key, asked), deadline)
            if not isinstance(reply, Same | Holds):
                await self._failed(partner, failed, key, False)
                continue
            raw = self._replica.raw(key)
            own = peek(raw)
            theirs = asked if isinstance(reply, Same) else peek(reply.state)
            if own < asked:
                # Our own copy was a hint, handed off and dropped since: the answer may be older.
                continue
            if own == theirs:
                await self._durable(key)
                return decode(raw)
            if isinstance(reply, Same) or own > theirs:
                await self._durable(key)
                if await self._push(key, partner, raw, reply, deadline):
                    return decode(raw)
                return None
            if self._replica.offer(key, reply.state) is Verdict.REFUSED:
                return None
            self._count_repair(decode(reply.state), decode(raw))
            await self._durable(key)
            return decode(reply.state)

    async def _push(
        self, key: bytes, partner: str, raw: bytes, reply: Same | Holds, deadline: float
    ) -> bool:
        """Repair a partner that is behind our copy `raw`; whether that copy is now decided."""
        decided = self._decided.covers(peek(raw))
        if decided and partner not in self._ring.cell(key).homes:
            return True
        stored = await self._partners.ask(partner, Accept(key, raw), deadline)
        if isinstance(stored, Stored):
            theirs = decode(reply.state) if isinstance(reply, Holds) else State()
            self._count_repair(decode(raw), theirs)
            return True
        return decided and not isinstance(stored, Refused)

    async def _round(
        self,
        key: bytes,
        intent: Intent,
        deadline: float,
        doubt: bool,
        cause: Cause = Cause.OPERATION,
    ) -> Step:
        """Decide `intent` under ballots of our own; for the key's turn only.

        `doubt`: some attempt may have left an undecided state behind, so a refusal must be
        recorded before it is told.
        """
        partners, failed = self._partners.of(key), set[str]()
        while True:
            self._check(deadline, doubt, "no partner answered in time")
            partner = next(partners)
            wanted = Intent(intent.change, intent.operation, doubt)
            made, reply = await self._attempt(key, wanted, partner, deadline, cause)
            if made is not None:
                return made
            if isinstance(reply, Refused):
                self.counters.contended += 1
                self._ballots.observe(reply.promise.counter)
                if cause is Cause.REPAIR and reply.promise.node:
                    raise Outrun
                await asyncio.sleep(self._rng.uniform(0, 2 * PAUSE))
            elif isinstance(reply, Stored):
                doubt = True
            else:
                doubt = doubt or reply is None
                await self._failed(partner, failed, key, doubt)

    async def _attempt(
        self, key: bytes, wanted: Intent, partner: str, deadline: float, cause: Cause
    ) -> tuple[Step | None, Reply | None]:
        """One ballot with one partner: what was decided, if anything was, and the last reply."""
        replica, first, fate = self._replica, self._rounds.begin(key), Fate.VOID
        try:
            ballot = await self._ballots.issue(above=replica.promised(key))
            while replica.promised(key) > ballot:
                ballot = await self._ballots.issue(above=replica.promised(key))
            own = replica.state(key)
            replica.promise(key, ballot)
            self.counters.rounds += 1
            made = step(own, own, wanted, ballot, self.memory.forgettable)
            raw = encode(made.state)
            fate = Fate.OPEN
            reply = await self._partners.ask(
                partner, Propose(key, ballot, own.newest, raw), deadline, cause
            )
            if isinstance(reply, Holds):
                theirs = decode(reply.state)
                base, other = (own, theirs) if own.newest >= theirs.newest else (theirs, own)
                made = step(base, other, wanted, ballot, self.memory.forgettable)
                raw = encode(made.state)
                reply = await self._partners.ask(partner, Accept(key, raw), deadline, cause)
                if isinstance(reply, Stored):
                    self._count_repair(base, other)
            if isinstance(reply, Stored):
                if replica.offer(key, raw) is Verdict.STORED:
                    await self._durable(key)
                    fate = Fate.DECIDED
                    return made, reply
            elif reply is not None:
                fate = Fate.VOID
            return None, reply
        finally:
            self._rounds.end(key, first, fate)

    async def _failed(self, partner: str, failed: set[str], key: bytes, maybe: bool) -> None:
        """Take note that a partner gave no answer that helps. Raises `Expired` if both have.

        Whoever reaches neither may itself be the one cut off, and there is a third node to ask.
        """
        failed.add(partner)
        if len(failed) == PARTNERS:
            raise Expired(maybe, "neither partner answered")
        await self._partners.rest(partner, key)

    async def _durable(self, key: bytes) -> None:
        pending = self._replica.durable(key)
        if pending is not None:
            await pending

    def _check(self, deadline: float, maybe: bool, reason: str) -> None:
        if self._clock.now() >= deadline:
            raise Expired(maybe, reason)

    def _overfull(self, own: State) -> bool:
        keyed = [entry for entry in own.recent if entry.operation.fingerprint]
        return (
            len(keyed) >= MOST_KEYED
            and sum(not self.memory.forgettable(entry) for entry in keyed) >= MOST_KEYED
        )

    def _count_repair(self, winner: State, loser: State) -> None:
        if not loser.version:
            # A standby beginning a hint, or a home that missed the record's beginning.
            self.counters.filled += 1
        elif compare(winner.version, loser.version) is Order.CONCURRENT:
            self.counters.concurrent_repairs += 1
        elif winner.newest != loser.newest:
            self.counters.stale_repairs += 1

    def __repr__(self) -> str:
        return f"<Coordinator {self._name} {self.counters.operations} operations>"
