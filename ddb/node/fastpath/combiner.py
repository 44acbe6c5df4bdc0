"""The combiner: one round decides the changes that wait for one record's turn.

All of them take one place in the key's queue. When its turn comes, they go to the coordinator in
order of arrival, and each gets its own result. A waiting change costs a future, and no task.

The combiner refuses a change whose turn would come too late. It refuses at once if the turns before
it are likely to take longer than the change can wait. Otherwise it refuses once that time has
passed.
"""

import asyncio
from collections import deque
from functools import partial

import msgspec

from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.pending_change import PendingChange
from ddb.node.context import NodeContext
from ddb.node.fastpath.attempt import change_of, reply_to
from ddb.node.fastpath.fallback import Answer
from ddb.node.replica.acceptor import Acceptor
from ddb.node.storage.store import Unreadable
from ddb.record.state import DamagedState, Intent
from ddb.wire.messages import CoordinateChange, Failed, Overloaded, Reply, Undecided
from ddb.wire.ports import Handling

MAX_COMBINED_CHANGES = 64
"""Changes that one round decides.

Too low: a hot record takes few changes per round. Too high: a silent peer leaves more changes with
an unknown outcome. The loop also evaluates them all without a pause.
"""
MAX_COMBINED_BYTES = 1024 * 1024
"""Bytes that one round evaluates: for each change its own body and the record's state.

Too low: large records take few changes per round. Too high: the loop pauses for their evaluation.
"""


class Waiting(msgspec.Struct, eq=False):
    """One change that waits for its turn. All times are by the steady clock, in seconds."""

    request: CoordinateChange
    deadline: float
    received_at: float
    begin_by: float
    """The change must not begin later: its gateway tries another coordinator then."""
    answer: Answer
    timer: asyncio.TimerHandle
    """Refuses the change at `begin_by`."""

    def end(self, reply: Reply) -> None:
        """Answer the change, unless it has its answer."""
        self.timer.cancel()
        if not self.answer.done():
            self.answer.set_result(reply)

    def fail(self, failure: BaseException) -> None:
        """End the change without a reply: its outcome is unknown."""
        self.timer.cancel()
        if not self.answer.done():
            self.answer.set_exception(failure)


class Crowd(msgspec.Struct, eq=False):
    """The changes of one record: those that wait, and those that its present turn decides."""

    waiting: deque[Waiting]
    deciding: list[Waiting]

    def drop_ended(self) -> None:
        """Remove the changes at the head that have their answer, or whose caller has left."""
        while self.waiting and self.waiting[0].answer.done():
            self.waiting.popleft().timer.cancel()

    def __repr__(self) -> str:
        return f"<Crowd {len(self.waiting)} waiting, {len(self.deciding)} in a round>"


class Combiner:
    """Collects the changes of one node that cannot begin at once."""

    def __init__(self, context: NodeContext, replica: Acceptor, coordinator: Coordinator) -> None:
        self._clock = context.clock
        self._timeouts = context.timeouts
        self._counters = context.counters
        self._replica = replica
        self._coordinator = coordinator
        self._queue = coordinator.queue
        self._crowds: dict[bytes, Crowd] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, request: CoordinateChange, deadline: float) -> Handling:
        """Let a change wait for its record's turn. Return its answer, or refuse it at once."""
        key, now = request.key, self._clock.now()
        # After a longer wait the gateway takes this node for one that lost the request.
        within_s = min(deadline - now - request.begin_ms / 1000, self._timeouts.turn_s)
        crowd = self._crowds.get(key)
        if crowd is not None:
            crowd.drop_ended()
        if self._expected_s(key, crowd) > within_s:
            return Overloaded("many changes of this record wait before it, so nothing was begun")
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        timer = loop.call_later(max(0.0, within_s), _refuse, answer)
        waiting = Waiting(request, deadline, now, now + within_s, answer, timer)
        if crowd is not None:
            crowd.waiting.append(waiting)
            return answer
        crowd = self._crowds[key] = Crowd(deque((waiting,)), [])
        task = loop.create_task(self._run(key, crowd))
        # The loop has only weak references to tasks, so the collector might end one.
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, crowd))
        return answer

    async def _run(self, key: bytes, crowd: Crowd) -> None:
        """Decide the waiting changes, one turn after the other, until none waits.

        Between two turns the loop runs nothing else, so no later change overtakes the crowd.
        """
        try:
            while crowd.waiting:
                async with self._queue.turn(key):
                    crowd.deciding = self._next(key, crowd)
                    if crowd.deciding:
                        await self._decide(key, crowd.deciding)
                    else:
                        self._queue.skip_turn(key)
                    crowd.deciding = []
        finally:
            del self._crowds[key]

    def _next(self, key: bytes, crowd: Crowd) -> list[Waiting]:
        """Remove the changes of the next round from the crowd, and answer those that are too late.

        Changes with little time share no round with others: its earliest deadline ends a round.
        """
        waiting, now, taken = crowd.waiting, self._clock.now(), list[Waiting]()
        record_bytes, total_bytes = len(self._replica.copies.readable(key) or b""), 0
        crowd.drop_ended()
        while waiting and len(taken) < MAX_COMBINED_CHANGES:
            first = waiting[0]
            refusal = self._refusal(first, now)
            if refusal is None:
                total_bytes += record_bytes + len(first.request.body)
                is_short = self._is_short(first, now)
                if taken and (
                    is_short is not self._is_short(taken[0], now)
                    or total_bytes > MAX_COMBINED_BYTES
                ):
                    break
                waiting.popleft().timer.cancel()
                taken.append(first)
            else:
                first.end(refusal)
            crowd.drop_ended()
        return taken

    def _is_short(self, change: Waiting, now: float) -> bool:
        """Whether a change has less time left than one that may begin on arrival."""
        return change.deadline - now < self._timeouts.begin_s

    def _refusal(self, change: Waiting, now: float) -> Reply | None:
        """Return the reply to a change that must not begin at `now`; None if it may."""
        request = change.request
        if now > change.begin_by:
            return _TOO_LATE
        if self._coordinator.both_peers_failed(request.key, change.received_at):
            return Undecided(request.in_doubt, "neither peer replied")
        return None

    async def _decide(self, key: bytes, taken: list[Waiting]) -> None:
        """Let the coordinator decide changes together, and answer each with its own result."""
        requests = [change.request for change in taken]
        changes = [
            PendingChange(Intent(*change_of(each.request), each.request.in_doubt), each.deadline)
            for each in taken
        ]
        self._counters.operations += len(changes)
        self._counters.combined += len(changes) - 1
        try:
            await self._coordinator.decide(key, changes, taken[0].received_at)
            replies = [
                reply_to(request, change.result)
                for request, change in zip(requests, changes, strict=True)
            ]
        except DamagedState as damage:
            self._coordinator.complaints.about(damage, key)
            replies = [Undecided(request.in_doubt, str(damage)) for request in requests]
        except Unreadable as unreadable:
            replies = [Failed(str(unreadable)) for _ in requests]
        for change, reply in zip(taken, replies, strict=True):
            change.end(reply)

    def _ended(self, crowd: Crowd, task: asyncio.Task[None]) -> None:
        """Fail the changes that the task of their record has left without an answer."""
        self._tasks.discard(task)
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failure is None:
            return
        for change in (*crowd.deciding, *crowd.waiting):
            if task.cancelled():
                change.timer.cancel()
                change.answer.cancel()
            else:
                change.fail(failure)

    def _expected_s(self, key: bytes, crowd: Crowd | None) -> float:
        """Return the likely seconds until the turn of one more change."""
        if crowd is None:
            return self._queue.expected_s(key)
        # A crowd that waits has its place in the queue; one that has the turn takes another.
        place = 0 if crowd.deciding else -1
        return self._queue.expected_s(key, place + len(crowd.waiting) // MAX_COMBINED_CHANGES)

    def __repr__(self) -> str:
        return f"<Combiner {len(self._crowds)} records>"


_TOO_LATE = Overloaded("its turn on this record did not come in time")


def _refuse(answer: Answer) -> None:
    if not answer.done():
        answer.set_result(_TOO_LATE)
