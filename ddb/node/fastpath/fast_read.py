"""The fast path of a read that the gateway could not finish with the two homes.

While the other home is down, the gateway sends every GET of the partition here. The fast path
answers by callbacks, with a single reply of the standby, if the standby has nothing newer. It
leaves every other case to the coordinator, whose quorum read also repairs the older copy.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.quorum_peers import Expired, peers_by_partition
from ddb.node.context import NodeContext
from ddb.node.fastpath.fallback import Answer, Fallback, reply_of
from ddb.node.replica.acceptor import Acceptor
from ddb.node.storage.store import Unreadable
from ddb.record.codec import body_of, is_live, peek
from ddb.record.state import DamagedState, State
from ddb.record.version import Dot
from ddb.wire.messages import (
    CoordinateGet,
    Failed,
    GetResult,
    ReadReplica,
    ReplicaState,
    Reply,
    SameVersion,
    Undecided,
)
from ddb.wire.ports import Condition, Handling


class FastRead:
    """Answers `CoordinateGet` on one node."""

    def __init__(
        self,
        context: NodeContext,
        replica: Acceptor,
        commit_index: CommitIndex,
        coordinator: Coordinator,
    ) -> None:
        self._transport = context.transport
        self._timeouts = context.timeouts
        self._counters = context.counters
        self._peers = peers_by_partition(context.name, context.ring)
        self._replica = replica
        self._commit_index = commit_index
        self._coordinator = coordinator
        self._fallback = Fallback()

    def get(self, request: CoordinateGet, deadline: float) -> Handling:
        """Answer `CoordinateGet`; `deadline` is by the steady clock, in seconds."""
        key, condition = request.key, self._transport.condition
        peers = self._peers[key[0] << 8 | key[1]]
        if (
            peers is None
            or condition(peers[0]) is Condition.UP
            or condition(peers[1]) is not Condition.UP
        ):
            return self._coordinate(key, self._coordinator.read(key, deadline))
        standby = peers[1]
        newest = peek(self._replica.copies.raw(key))
        # Checked before the request: by the reply, a newer state may replace a decided one.
        decided = self._commit_index.covers(newest)
        self._counters.operations += 1
        self._counters.peer_requests += 1
        asking = self._transport.ask(
            standby,
            ReadReplica(key, newest),
            deadline=deadline,
            timeout_s=self._timeouts.peer_s,
        )
        answer: Answer = asking.get_loop().create_future()
        asking.add_done_callback(
            partial(self._on_reply, answer, key, standby, newest, decided, deadline)
        )
        return answer

    def _on_reply(
        self,
        answer: Answer,
        key: bytes,
        standby: str,
        newest: Dot,
        decided: bool,
        deadline: float,
        asked: asyncio.Future[Reply],
    ) -> None:
        """Answer from the own copy if the standby has the same state or an older one.

        Args:
            answer: the future that the gateway waits for.
            key: the record.
            standby: the node that was asked.
            newest: the version of the own copy, as of the request.
            decided: True if that version was decided before the request; then an older reply is
                enough. False if that is uncertain; then only an equal reply is.
            deadline: by the steady clock, in seconds.
            asked: the done request to the standby.
        """
        reply = reply_of(asked)
        own = self._replica.copies.readable(key)
        if own is None:
            if not answer.done():
                answer.set_result(Failed("its own copy is damaged"))
            return
        if peek(own) == newest and (
            type(reply) is SameVersion
            or (decided and type(reply) is ReplicaState and peek(reply.state) < newest)
        ):
            result = GetResult(body_of(own) if is_live(own) else None)
            self._replica.writes.answer_when_durable(key, answer, result)
            return
        replied = isinstance(reply, SameVersion | ReplicaState)
        failed_after = self._coordinator.failure_time(None if replied else standby, deadline)
        reading = self._coordinator.read_since(key, deadline, failed_after)
        self._fallback.start(answer, self._coordinate(key, reading))

    async def _coordinate(self, key: bytes, reading: Coroutine[Any, Any, State]) -> Reply:
        """Answer with the result of the coordinator's `reading`."""
        try:
            state = await reading
        except Expired as expired:
            return Undecided(False, str(expired))
        except DamagedState as damage:
            self._coordinator.complaints.about(damage, key)
            return Undecided(False, str(damage))
        except Unreadable as unreadable:
            return Failed(str(unreadable))
        return GetResult(state.value)

    def __repr__(self) -> str:
        return f"<FastRead {self._fallback!r}>"
