"""The coordinator: chooses the rounds that an operation on one record needs.

A read needs a round only if the replicas do not agree. A change needs one, and before it a read if
this node's own copy already decides the answer. `Proposer` runs the rounds, with either of the two
other nodes of the record's cell.
"""

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.dedup_window import DedupWindow
from ddb.node.consensus.key_queue import KeyQueue
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.consensus.proposer import KeyedLogFull, Proposer
from ddb.node.consensus.quorum_peers import Expired, QuorumPeers
from ddb.node.consensus.quorum_read import QuorumRead
from ddb.node.context import NodeContext
from ddb.node.metrics import Cause
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.complaints import Complaints
from ddb.node.storage.store import Unreadable
from ddb.record.change import Change, Outcome, outcome_of
from ddb.record.state import SETTLE, Intent, Operation, State, remembered


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
        self._timeouts = context.timeouts
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
                self._check_turn(key, received_at, deadline, False)
                state = await self._settle(key, deadline, received_at)
        return state

    async def change(
        self,
        key: bytes,
        change: Change,
        operation: Operation,
        in_doubt: bool,
        deadline: float,
        begin_ms: int = 0,
    ) -> tuple[Outcome, State]:
        """Decide one change. Return its outcome and the state after it.

        Args:
            key: the record.
            change: the change.
            operation: its identity.
            in_doubt: True if another attempt at `operation` may be in flight or may have taken
                effect. False if this is the only attempt.
            deadline: by the steady clock, in seconds.
            begin_ms: as in `CoordinateChange`.

        Raises:
            TurnTooLate: the change had no turn in time, and nothing was begun.
            KeyedLogFull: the record has no room for the operation, and nothing was begun.
            Expired, WrongCell, StoreFailed: as `read`.
        """
        self.counters.operations += 1
        received_at = self._clock.now()
        # After a longer wait the gateway takes this node for one that lost the request.
        within_s = min(deadline - received_at - begin_ms / 1000, self._timeouts.turn_s)
        async with self.queue.turn(key, within_s=within_s):
            self._check_turn(key, received_at, deadline, in_doubt)
            return await self.decide(key, change, operation, in_doubt, deadline, received_at)

    async def decide(
        self,
        key: bytes,
        change: Change,
        operation: Operation,
        in_doubt: bool,
        deadline: float,
        received_at: float,
        proposed: bool = False,
    ) -> tuple[Outcome, State]:
        """Like `change`; the caller has the key's turn.

        Args:
            key: the record.
            change: the change.
            operation: its identity.
            in_doubt: as in `change`.
            deadline: by the steady clock, in seconds.
            received_at: arrival of the request, or the time of a later failure, in seconds. The
                operation ends once both peers have failed since then.
            proposed: True if a peer may have stored a proposal of this very change. False if not.
        """
        own = self._replica.copies.state(key)
        own_outcome = remembered(own, operation)
        refused = not in_doubt and outcome_of(change, own.value) is not Outcome.DONE
        full = not proposed and self.dedup_window.full_for_operation_s(own, operation) is not None
        if own_outcome is not None or refused or full:
            try:
                decided = await self._settle(key, deadline, received_at)
            except (Expired, Unreadable) as error:
                raise Expired(in_doubt or own_outcome is not None, str(error)) from error
            outcome = remembered(decided, operation)
            if outcome is not None:
                return outcome, decided
            # Only the decided state proves that no earlier attempt has taken effect.
            full_for_s = self.dedup_window.full_for_operation_s(decided, operation)
            if full and full_for_s is not None:
                raise KeyedLogFull(full_for_s)
            refusal = outcome_of(change, decided.value)
            if refusal is not Outcome.DONE and not in_doubt:
                return refusal, decided
        made = await self._proposer.decide(
            key, Intent(change, operation), deadline, received_at, in_doubt, proposed=proposed
        )
        return made.outcome, made.state

    async def refresh(self, key: bytes, deadline: float) -> State:
        """Decide the record's state again, under a new ballot above every promise.

        Raises as `read`, and `Outrun` if another coordinator is about to do the same.
        """
        async with self.queue.turn(key):
            made = await self._proposer.decide(
                key, SETTLE, deadline, self._clock.now(), False, Cause.REPAIR
            )
            return made.state

    async def _settle(self, key: bytes, deadline: float, received_at: float) -> State:
        """Return the decided state, after a round if needed. The caller has the key's turn."""
        began = self._clock.now()
        state = await self._quorum_read.find(key, deadline, received_at)
        if state is None:
            return (await self._proposer.decide(key, SETTLE, deadline, received_at, False)).state
        self.queue.resolve_reads(key, began, state)
        return state

    def has_too_little_time(self, deadline: float, begin_ms: int) -> bool:
        """Whether a change has less than `begin_ms` milliseconds left, so it must not begin."""
        return (deadline - self._clock.now()) * 1000 < begin_ms

    def failure_time(self, failed_peer: str | None) -> float:
        """Return the current time, at which `failed_peer` counts as failed if one is given."""
        return self._clock.now() if failed_peer is None else self._peers.record_failure(failed_peer)

    def _check_turn(self, key: bytes, received_at: float, deadline: float, in_doubt: bool) -> None:
        """Raise `Expired` if the turn came too late to be of use.

        If an earlier operation on the key found both peers silent, this one leaves its time to the
        third node.
        """
        if self._clock.now() >= deadline:
            raise Expired(in_doubt, "its turn on this record came too late")
        if self._peers.both_failed(key, received_at):
            raise Expired(in_doubt, "neither peer replied")

    def __repr__(self) -> str:
        return f"<Coordinator {self._name} {self.counters.operations} operations>"
