"""The fast path of a change: two messages, by callbacks, while the replicas agree.

The fast path decides exactly as the coordinator would with its first two messages. The
coordinator takes every other case: a silent or newer peer, a refusal, a retry. So does it with a
busy key, for all changes that wait at once (`combiner`).
Callbacks save a node and its peer 40 us of CPU per change, compared with coroutines and tasks.
"""

import asyncio
from functools import partial

from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.open_rounds import DECIDED, Fate, OpenRounds
from ddb.node.consensus.pending_change import PendingChange
from ddb.node.consensus.quorum_peers import CellPeers, peers_by_partition
from ddb.node.context import NodeContext
from ddb.node.fastpath.attempt import Attempt, change_of, intent_of, reply_to, result_of
from ddb.node.fastpath.combiner import Combiner
from ddb.node.fastpath.fallback import Answer, Fallback, reply_of
from ddb.node.replica.acceptor import STORED, Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.copies import WrongCell
from ddb.node.storage.store import StoreFailed, Unreadable
from ddb.record.change import DONE
from ddb.record.codec import decode, encode, peek
from ddb.record.state import DamagedState, Intent, step
from ddb.wire.messages import (
    Accept,
    Accepted,
    CoordinateChange,
    Overloaded,
    Propose,
    Rejected,
    ReplicaState,
    Reply,
    Undecided,
)
from ddb.wire.ports import Condition, Handling

# Each change compares with it. To read a member from its class costs 80 ns.
UP = Condition.UP


class FastWrite:
    """Answers `CoordinateChange` on one node."""

    def __init__(
        self,
        context: NodeContext,
        replica: Acceptor,
        ballots: Ballots,
        rounds: OpenRounds,
        coordinator: Coordinator,
    ) -> None:
        self._transport = context.transport
        self._timeouts = context.timeouts
        self._counters = context.counters
        self._peers = peers_by_partition(context.name, context.ring)
        self._replica = replica
        self._ballots = ballots
        self._rounds = rounds
        self._coordinator = coordinator
        self._dedup_window = coordinator.dedup_window
        self._queue = coordinator.queue
        self._combiner = Combiner(context, replica, coordinator)
        self._fallback = Fallback()

    def change(self, request: CoordinateChange, deadline: float) -> Handling:
        """Answer `CoordinateChange`; `deadline` is by the steady clock, in seconds."""
        key = request.key
        self._dedup_window.record_low(request.sender, request.low)
        if self._coordinator.has_too_little_time(deadline, request.begin_ms):
            return Overloaded("it came with too little time left, so nothing was begun")
        if not self._queue.free(key):
            return self._combiner.add(request, deadline)
        peers = self._peers[key[0] << 8 | key[1]]
        if (
            peers is None
            or (peer := self._best_peer(peers)) is None
            # Without a key, `in_doubt` means that an earlier attempt failed. With one it is set.
            or (request.in_doubt and not request.fingerprint)
        ):
            return self._combiner.add(request, deadline)
        replica = self._replica
        base = replica.copies.raw(key)
        own = decode(base)
        keyed = bool(request.fingerprint)
        if keyed and self._dedup_window.full_for_s(own) is not None:
            return self._combiner.add(request, deadline)
        newest = own.newest
        begun, proposed = self._rounds.begin(key), False
        try:
            ballot = self._ballots.issue_now(max(newest, replica.open_promise(key)))
            if ballot is None:
                return self._combiner.add(request, deadline)
            made = step(own, own, intent_of(request), ballot, self._dedup_window)
            # A peer with an equal base remembers exactly the operations of the own copy.
            if made.recalled or (made.outcome is not DONE and not keyed):
                return self._combiner.add(request, deadline)
            raw = encode(made.state)
            replica.promise(key, ballot)
            asking = self._transport.ask(
                peer,
                Propose(key, ballot, newest, raw),
                deadline=deadline,
                timeout_s=self._timeouts.peer_s,
            )
            proposed = True
        finally:
            if not proposed:
                # A round without an end would limit the commit index until a restart.
                begun.end(Fate.NEVER_STORED)
        self._queue.enter(key)
        self._counters.operations += 1
        self._counters.rounds += 1
        self._counters.peer_requests += 1
        answer: Answer = asking.get_loop().create_future()
        attempt = Attempt(request, peer, deadline, answer, begun, base, made, raw)
        replica.watch(key)
        asking.add_done_callback(partial(self._on_reply, attempt))
        return answer

    def _on_reply(self, attempt: Attempt, asked: asyncio.Future[Reply]) -> None:
        """Handle the peer's reply, or its absence. An error ends the round and the turn."""
        key, handled = attempt.request.key, False
        try:
            self._handle_reply(attempt, asked)
            handled = True
        except (DamagedState, StoreFailed, WrongCell) as error:
            self._coordinator.complaints.about(error, key)
            if not attempt.answer.done():
                attempt.answer.set_result(Undecided(not _only_promised(asked), str(error)))
        finally:
            if not handled:
                fate = Fate.NEVER_STORED if _only_promised(asked) else Fate.UNKNOWN
                attempt.round.end(fate)
                self._queue.leave(key)

    def _handle_reply(self, attempt: Attempt, asked: asyncio.Future[Reply]) -> None:
        """Store the proposal if the peer has; otherwise repair the peer or fall back."""
        key, reply, replica = attempt.request.key, reply_of(asked), self._replica
        if not replica.unchanged(key):
            # If the own copy is unreadable by now, `replace` refuses the proposal.
            attempt.base = replica.copies.readable(key) or b""
        elif type(reply) is ReplicaState and peek(reply.state) < peek(attempt.base):
            self._repair_peer(attempt, reply)
            return
        newest = attempt.made.state.newest
        if (
            type(reply) is Accepted
            and replica.replace(key, attempt.raw, newest, attempt.base) is STORED
        ):
            pending = replica.writes.in_flight(key)
            if pending is None:
                self._finish(attempt)
            else:
                pending.add_done_callback(partial(self._finish, attempt))
            return
        if isinstance(reply, Rejected):
            self._ballots.observe(reply.promise.counter)
            self._counters.contended += 1
        # Unless the peer has certainly not stored it, a later round may find the proposal.
        proposed = reply is None or type(reply) is Accepted
        attempt.round.end(Fate.UNKNOWN if proposed else Fate.NEVER_STORED)
        replied = isinstance(reply, Accepted | Rejected | ReplicaState)
        silent = None if replied else attempt.peer
        failed_after = self._coordinator.failure_time(silent, attempt.deadline)
        self._fallback.start(
            attempt.answer, self._coordinate_in_turn(attempt, proposed, failed_after)
        )

    def _repair_peer(self, attempt: Attempt, reply: ReplicaState) -> None:
        """Send the whole new state to a peer with an older one, such as a home that has returned.

        The round goes on under the same ballot.
        """
        key, own, theirs = attempt.request.key, decode(attempt.base), decode(reply.state)
        attempt.made = step(
            own, theirs, intent_of(attempt.request), attempt.made.state.newest, self._dedup_window
        )
        attempt.raw = encode(attempt.made.state)
        self._counters.peer_requests += 1
        self._counters.count_repair(own, theirs)
        asking = self._transport.ask(
            attempt.peer,
            Accept(key, attempt.raw),
            deadline=attempt.deadline,
            timeout_s=self._timeouts.peer_s,
        )
        self._replica.watch(key)
        asking.add_done_callback(partial(self._on_reply, attempt))

    def _finish(self, attempt: Attempt, flushed: asyncio.Future[None] | None = None) -> None:
        """End the round and the turn, and answer.

        `flushed`: done once the own copy is durable; None if it already is.
        """
        failure = flushed.exception() if flushed is not None else None
        if failure is None:
            attempt.round.end(DECIDED)
        request, made, answer = attempt.request, attempt.made, attempt.answer
        self._queue.leave(request.key)
        if answer.done():
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(result_of(request.kind, made.outcome, made.state))

    async def _coordinate_in_turn(
        self, attempt: Attempt, proposed: bool, failed_after: float
    ) -> Reply:
        """Let the coordinator decide a change that has the key's turn, and end the turn.

        Args:
            attempt: the change; its own round has ended.
            proposed: True if the peer may have stored the proposal. False if it certainly has not.
            failed_after: gives up once both peers have failed at or after this time, in seconds.
        """
        request, in_doubt = attempt.request, attempt.request.in_doubt or proposed
        change = PendingChange(Intent(*change_of(request), in_doubt, proposed), attempt.deadline)
        try:
            await self._coordinator.decide(request.key, [change], failed_after)
        except DamagedState as damage:
            self._coordinator.complaints.about(damage, request.key)
            return Undecided(in_doubt, str(damage))
        except Unreadable as unreadable:
            return Undecided(in_doubt, str(unreadable))
        finally:
            self._queue.leave(request.key)
        return reply_to(request, change.result)

    def _best_peer(self, peers: CellPeers) -> str | None:
        """Return the peer in better condition, or None if neither is up or slow."""
        condition = self._transport.condition
        home, standby = peers
        of_home = condition(home)
        if of_home is UP:
            return home
        best = min(of_home, condition(standby))
        if best > Condition.SLOW:
            return None
        return home if of_home is best else standby

    def __repr__(self) -> str:
        return f"<FastWrite {self._fallback!r}>"


def _only_promised(asked: asyncio.Future[Reply]) -> bool:
    """Whether the peer replied that it promised and did not store. False proves nothing."""
    return not asked.cancelled() and not asked.exception() and type(asked.result()) is ReplicaState
