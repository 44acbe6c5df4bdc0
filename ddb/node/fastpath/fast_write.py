"""The node's message path: changes of records whose replicas agree, which are nearly all.

What is decided here is what the coordinator decides, in its first two messages; anything out of
the ordinary (a partner that is silent, behind or ahead, a refusal, a retry, a turn that is taken)
is passed on to the coordinator. Written with callbacks because that is what it costs: through
coroutine, task and generator a change takes a node and its partner 40 CPU microseconds more.
"""

import asyncio
from functools import partial

from ddb.node.consensus.coordinator import Coordinator, KeyedLogFull
from ddb.node.consensus.key_queue import Crowded
from ddb.node.consensus.open_rounds import Fate, OpenRounds
from ddb.node.consensus.quorum_peers import Expired, others_of
from ddb.node.fastpath.fallback import Answer, Fallback, reply_of
from ddb.node.replica.acceptor import Acceptor, Verdict, WrongCell
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.store import StoreFailed, Unreadable
from ddb.record.change import Change, Kind, Outcome
from ddb.record.codec import decode, encode, peek
from ddb.record.state import DamagedState, Intent, Operation, State, Step, step
from ddb.record.version import Dot
from ddb.ring.ring import Ring
from ddb.wire.messages import (
    Accept,
    Accepted,
    ChangeResult,
    CoordinateChange,
    Failed,
    LogFull,
    Overloaded,
    Propose,
    Rejected,
    ReplicaState,
    Reply,
    Undecided,
)
from ddb.wire.ports import Condition, Handling, Transport


class FastWrite:
    """Answers Do on the node `name`."""

    def __init__(
        self,
        name: str,
        ring: Ring,
        replica: Acceptor,
        ballots: Ballots,
        rounds: OpenRounds,
        transport: Transport,
        coordinator: Coordinator,
    ) -> None:
        self._replica = replica
        self._ballots = ballots
        self._rounds = rounds
        self._transport = transport
        self._coordinator = coordinator
        self._timeouts = coordinator.timeouts
        self._counters = coordinator.counters
        self._queue = coordinator.queue
        self._others = others_of(name, ring)
        self._passed_on = Fallback()

    def do(self, request: CoordinateChange, deadline: float) -> Handling:
        """Answer Do."""
        key = request.key
        memory = self._coordinator.memory
        memory.heard(request.sender, request.low)
        if self._coordinator.begins_too_late(deadline, request.begin_ms):
            return Overloaded("it came too late to be begun")
        others = self._others[key[0] << 8 | key[1]]
        if (
            others is None
            or (partner := self._partner(others)) is None
            # A gateway's retry has met trouble. A client's may be any keyed request.
            or (request.retry and not request.fingerprint)
            or not self._queue.free(key)
        ):
            return self._change(request, deadline)
        replica = self._replica
        held = replica.raw(key)
        own = decode(held)
        keyed = bool(request.fingerprint)
        if keyed and memory.full_for_s(own) is not None:
            return self._change(request, deadline)
        first, proposed = self._rounds.begin(key), False
        try:
            ballot = self._ballots.issue_now(max(own.newest, replica.unfinished(key)))
            if ballot is None:
                return self._change(request, deadline)
            made = step(own, own, _intent(request), ballot, memory)
            # A partner with an equal base remembers exactly the operations of the own copy.
            if made.recalled or (made.outcome is not Outcome.DONE and not keyed):
                return self._change(request, deadline)
            raw = encode(made.state)
            replica.promise(key, ballot)
            asking = self._transport.ask(
                partner,
                Propose(key, ballot, own.newest, raw),
                deadline=deadline,
                timeout_s=self._timeouts.partner_s,
            )
            proposed = True
        finally:
            if not proposed:
                # Or no later round of this node would ever be reported as ended.
                self._rounds.end(key, first, Fate.NEVER_STORED)
        self._queue.enter(key)
        self._counters.operations += 1
        self._counters.rounds += 1
        self._counters.peer_requests += 1
        answer: Answer = asking.get_loop().create_future()
        replica.watch(key)
        asking.add_done_callback(
            partial(self._proposed, answer, request, partner, made, held, raw, first, deadline)
        )
        return answer

    def _proposed(
        self,
        answer: Answer,
        request: CoordinateChange,
        partner: str,
        made: Step,
        held: bytes,
        raw: bytes,
        first: bool,
        deadline: float,
        asked: asyncio.Future[Reply],
    ) -> None:
        """The partner has answered, or has not: an error here ends the round and the turn."""
        key, over = request.key, False
        try:
            self._answered(answer, request, partner, made, held, raw, first, deadline, asked)
            over = True
        except (DamagedState, StoreFailed, WrongCell) as error:
            self._coordinator.complaints.about(error, key)
            if not answer.done():
                answer.set_result(Undecided(not _only_promised(asked), str(error)))
        finally:
            if not over:
                fate = Fate.NEVER_STORED if _only_promised(asked) else Fate.UNKNOWN
                self._rounds.end(key, first, fate)
                self._queue.leave(key)

    def _answered(
        self,
        answer: Answer,
        request: CoordinateChange,
        partner: str,
        made: Step,
        held: bytes,
        raw: bytes,
        first: bool,
        deadline: float,
        asked: asyncio.Future[Reply],
    ) -> None:
        """The partner's answer to what was proposed; if it has stored it, so does this node."""
        key, reply, replica = request.key, reply_of(asked), self._replica
        if not replica.unchanged(key):
            # Where it cannot be read any more, what was proposed is not stored either.
            held = replica.readable(key) or b""
        elif type(reply) is ReplicaState and peek(reply.state) < peek(held):
            self._bring_up(
                answer, request, partner, made.state.newest, held, reply, first, deadline
            )
            return
        if (
            type(reply) is Accepted
            and replica.replace(key, raw, made.state.newest, held) is Verdict.STORED
        ):
            pending = replica.writes.durable(key)
            if pending is None:
                self._done(answer, request, made)
            else:
                pending.add_done_callback(partial(self._done, answer, request, made))
            return
        if isinstance(reply, Rejected):
            self._ballots.observe(reply.promise.counter)
            self._counters.contended += 1
        # Unless the partner certainly has not stored it, the proposal may yet be found and decided.
        doubt = reply is None or type(reply) is Accepted
        self._rounds.end(key, first, Fate.UNKNOWN if doubt else Fate.NEVER_STORED)
        heard = isinstance(reply, Accepted | Rejected | ReplicaState)
        since = self._coordinator.since(None if heard else partner)
        self._passed_on.start(answer, self._change_in_turn(request, doubt, deadline, since))

    def _bring_up(
        self,
        answer: Answer,
        request: CoordinateChange,
        partner: str,
        ballot: Dot,
        held: bytes,
        reply: ReplicaState,
        first: bool,
        deadline: float,
    ) -> None:
        """The partner is behind, as a home is that has just returned: it takes the new state."""
        key, own, theirs = request.key, decode(held), decode(reply.state)
        made = step(own, theirs, _intent(request), ballot, self._coordinator.memory)
        raw = encode(made.state)
        self._counters.peer_requests += 1
        self._counters.repaired(own, theirs)
        asking = self._transport.ask(
            partner, Accept(key, raw), deadline=deadline, timeout_s=self._timeouts.partner_s
        )
        self._replica.watch(key)
        asking.add_done_callback(
            partial(self._proposed, answer, request, partner, made, held, raw, first, deadline)
        )

    def _done(
        self,
        answer: Answer,
        request: CoordinateChange,
        made: Step,
        written: asyncio.Future[None] | None = None,
    ) -> None:
        failure = written.exception() if written is not None else None
        if failure is None:
            self._rounds.end(request.key, True, Fate.DECIDED)
        self._queue.leave(request.key)
        if answer.done():
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(_told(request.kind, made.outcome, made.state))

    async def _change(self, request: CoordinateChange, deadline: float) -> Reply:
        try:
            outcome, state = await self._coordinator.change(
                request.key, *_named(request), request.retry, deadline, request.begin_ms
            )
        except Crowded as crowded:
            return Overloaded(str(crowded))
        except Expired as expired:
            return Undecided(expired.maybe, str(expired))
        except KeyedLogFull as full:
            return LogFull(full.retry_after_s)
        except DamagedState as damage:
            self._coordinator.complaints.about(damage, request.key)
            return Undecided(request.retry, str(damage))
        except Unreadable as unreadable:
            return Failed(str(unreadable))
        return _told(request.kind, outcome, state)

    async def _change_in_turn(
        self, request: CoordinateChange, doubt: bool, deadline: float, since: float
    ) -> Reply:
        try:
            outcome, state = await self._coordinator.decide(
                request.key, *_named(request), request.retry or doubt, deadline, since, doubt
            )
        except Expired as expired:
            return Undecided(expired.maybe, str(expired))
        except KeyedLogFull as full:
            return LogFull(full.retry_after_s)
        except DamagedState as damage:
            self._coordinator.complaints.about(damage, request.key)
            return Undecided(request.retry or doubt, str(damage))
        except Unreadable as unreadable:
            return Undecided(request.retry or doubt, str(unreadable))
        finally:
            self._queue.leave(request.key)
        return _told(request.kind, outcome, state)

    def _partner(self, others: tuple[str, str]) -> str | None:
        """The other home or the standby, the better one; None where neither is up or slow."""
        condition = self._transport.condition
        home, standby = others
        first = condition(home)
        if first is Condition.UP:
            return home
        second = condition(standby)
        best = min(first, second)
        if best > Condition.SLOW:
            return None
        return home if first is best else standby

    def __repr__(self) -> str:
        return f"<FastPath {self._passed_on!r}>"


def _only_promised(asked: asyncio.Future[Reply]) -> bool:
    """Whether the partner has certainly not stored what was proposed."""
    return not asked.cancelled() and not asked.exception() and type(asked.result()) is ReplicaState


def _named(request: CoordinateChange) -> tuple[Change, Operation]:
    change = Change(request.kind, request.body, request.match)
    return change, Operation(request.operation, request.fingerprint)


def _intent(request: CoordinateChange) -> Intent:
    # A client may have sent a keyed request before, so its refusal leaves a trace.
    return Intent(*_named(request), bool(request.fingerprint))


def _told(kind: Kind, outcome: Outcome, state: State) -> Reply:
    if outcome is not Outcome.DONE:
        return ChangeResult(outcome, state.value)
    if kind is Kind.DELETE:
        return ChangeResult(outcome, None)
    # A tombstone tells a retried create or update what it was answered.
    return ChangeResult(outcome, state.body or None)
