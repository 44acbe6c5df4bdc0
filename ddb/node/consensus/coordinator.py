"""The coordinator: chooses the rounds that an operation on one record needs.

A read needs a round only if the replicas do not agree. Changes need one, and before it a read if
this node's own copy already decides their answers. Changes that waited for the same turn share one
round. `Proposer` runs the rounds, with either of the two other nodes of the record's cell.
"""

from collections.abc import Sequence

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.dedup_window import DedupWindow
from ddb.node.consensus.key_queue import KeyQueue
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.consensus.pending_change import (
    KeyedLogFull,
    PendingChange,
    Result,
    expire,
    in_time,
)
from ddb.node.consensus.proposer import Proposer
from ddb.node.consensus.quorum_peers import Expired, QuorumPeers
from ddb.node.consensus.quorum_read import QuorumRead
from ddb.node.context import NodeContext
from ddb.node.metrics import Cause
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.complaints import Complaints
from ddb.node.storage.store import Unreadable
from ddb.record.change import Outcome, outcome_of
from ddb.record.state import SETTLE, Intent, State, Step, remembered


class Coordinator:
    """Runs operations on the records of one node."""

    def __init__(
        self,
        context: NodeContext,
        replica: Acceptor,
        ballots: Ballots,
        rounds: OpenRounds,
        commit_index: CommitIndex,
    ) -> None:
        self.counters = context.counters
        self.complaints = Complaints(context.name)
        self.dedup_window = DedupWindow(context.clock)
        self.queue = KeyQueue()
        self._name = context.name
        self._replica = replica
        self._clock = context.clock
        self._peers = QuorumPeers(context)
        self._quorum_read = QuorumRead(context, replica, commit_index, self._peers)
        self._proposer = Proposer(
            name=context.name,
            replica=replica,
            ballots=ballots,
            rounds=rounds,
            peers=self._peers,
            queue=self.queue,
            dedup_window=self.dedup_window,
            complaints=self.complaints,
            counters=context.counters,
            clock=context.clock,
            rng=context.rng,
            timeouts=context.timeouts,
        )

    async def read(self, key: bytes, deadline: float) -> State:
        """Return the record's decided state. Raises `Expired`, `WrongCell`, `StoreFailed`."""
        self.counters.operations += 1
        return await self.read_since(key, deadline, self._clock.now())

    async def read_since(self, key: bytes, deadline: float, received_at: float) -> State:
        """Like `read`; the request arrived at `received_at`, by the steady clock in seconds."""
        state = await self._quorum_read.find(key, deadline, received_at)
        if state is None:
            async with self.queue.turn(key, received_at) as decided:
                if decided is not None:
                    return decided
                self._check_turn(key, received_at, deadline)
                state = await self._settle(key, deadline, received_at)
        return state

    async def decide(
        self, key: bytes, changes: Sequence[PendingChange], failed_after: float
    ) -> None:
        """Decide changes together, and set their results. The caller has the key's turn.

        Args:
            key: the record.
            changes: in order of arrival.
            failed_after: arrival of the oldest change, or the time of a later failure, in seconds.
                The changes end once both peers have failed since then.

        Raises:
            Unreadable, DamagedState: the own copy is damaged, and this call has begun nothing.
            WrongCell, StoreFailed: as `read`.
        """
        own = self._replica.copies.state(key)
        results = [self._without_round(own, change.intent) for change in changes]
        if None not in results:
            # The own copy changes nothing. Only the decided state proves that.
            for change, result in zip(changes, results, strict=True):
                if isinstance(result, Step) and result.recalled:
                    change.doubt(proposed=False)
            changes, decided = await self._settle_for(key, changes, failed_after)
            if decided is None:
                return
            results = [self._without_round(decided, change.intent) for change in changes]
            if None not in results:
                for change, result in zip(changes, results, strict=True):
                    change.result = result
                return
        await self._proposer.decide(key, changes, failed_after)

    async def _settle_for(
        self, key: bytes, changes: Sequence[PendingChange], failed_after: float
    ) -> tuple[Sequence[PendingChange], State | None]:
        """Find the decided state for changes, and end those whose deadline passes first.

        Returns the other changes and the state; None if no change is left.
        """
        while changes:
            try:
                deadline = min(change.deadline for change in changes)
                return changes, await self._settle(key, deadline, failed_after)
            except (Expired, Unreadable) as error:
                left = in_time(changes, self._clock.now())
                if len(left) == len(changes):
                    # Both peers failed, or the own copy is damaged.
                    expire(changes, str(error))
                    break
                changes = left
        return (), None

    def _without_round(self, state: State, intent: Intent) -> Result | None:
        """Return the result of an intent that would leave `state` as it is.

        Returns None if it changes the value, or if its refusal must leave a trace.
        """
        operation = intent.operation
        earlier = None if operation is None else remembered(state, operation)
        if earlier is not None:
            return Step(earlier, state, True)
        if not intent.proposed:
            full_for_s = self.dedup_window.full_for_operation_s(state, operation)
            if full_for_s is not None:
                return KeyedLogFull(full_for_s)
        outcome = outcome_of(intent.change, state.value)
        if outcome is Outcome.DONE or intent.record_refusal:
            return None
        return Step(outcome, state)

    async def refresh(self, key: bytes, deadline: float) -> State:
        """Decide the record's state again, under a new ballot above every promise.

        Raises as `read`, and `Outrun` if another coordinator is about to do the same.
        """
        async with self.queue.turn(key):
            return await self._renew(key, deadline, self._clock.now(), Cause.REPAIR)

    async def _settle(self, key: bytes, deadline: float, received_at: float) -> State:
        """Return the decided state, after a round if needed. The caller has the key's turn."""
        began = self._clock.now()
        state = await self._quorum_read.find(key, deadline, received_at)
        if state is None:
            return await self._renew(key, deadline, received_at)
        self.queue.resolve_reads(key, began, state)
        return state

    async def _renew(
        self, key: bytes, deadline: float, failed_after: float, cause: Cause = Cause.OPERATION
    ) -> State:
        """Return the state that a round without a change decides. Raises `Expired`, `Outrun`."""
        renewal = PendingChange(SETTLE, deadline)
        await self._proposer.decide(key, [renewal], failed_after, cause)
        return renewal.step().state

    def has_too_little_time(self, deadline: float, begin_ms: int) -> bool:
        """Whether a change has less than `begin_ms` milliseconds left, so it must not begin."""
        return (deadline - self._clock.now()) * 1000 < begin_ms

    def failure_time(self, silent_peer: str | None, deadline: float) -> float:
        """Return the current time, at which `silent_peer` counts as failed if one is given.

        At the deadline of its request a peer has not failed: it may have had little time to reply.
        """
        now = self._clock.now()
        if silent_peer is not None and now < deadline:
            self._peers.record_failure(silent_peer)
        return now

    def both_peers_failed(self, key: bytes, received_at: float) -> bool:
        """Whether an operation that arrived at `received_at` leaves its time to the third node.

        An earlier operation on the key has found both peers silent since then.
        """
        return self._peers.both_failed(key, received_at)

    def _check_turn(self, key: bytes, received_at: float, deadline: float) -> None:
        """Raise `Expired` if the turn of a read came too late to be of use."""
        if self._clock.now() >= deadline:
            raise Expired(False, "its turn on this record came too late")
        if self.both_peers_failed(key, received_at):
            raise Expired(False, "neither peer replied")

    def __repr__(self) -> str:
        return f"<Coordinator {self._name} {self.counters.operations} operations>"
