"""Lookup: what a node answers to a GET, which it gets where the homes do not agree or one is out.

While the other home is out, its every GET comes here; they are answered by callbacks, and by the
standby's first word wherever that will do. Everything else is found out by the coordinator, which
also mends what is behind.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.quorum_peers import Expired, others_of
from ddb.node.fastpath.fallback import Answer, Fallback, reply_of
from ddb.node.replica.acceptor import Acceptor
from ddb.node.storage.store import Unreadable
from ddb.record.codec import body_of, is_live, peek
from ddb.record.state import DamagedState, State
from ddb.record.version import Dot
from ddb.ring.ring import Ring
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
from ddb.wire.ports import Condition, Handling, Transport


class FastRead:
    """Answers Get on the node `name`."""

    def __init__(
        self,
        name: str,
        ring: Ring,
        replica: Acceptor,
        decided: CommitIndex,
        transport: Transport,
        coordinator: Coordinator,
    ) -> None:
        self._replica = replica
        self._decided = decided
        self._transport = transport
        self._coordinator = coordinator
        self._counters = coordinator.counters
        self._others = others_of(name, ring)
        self._passed_on = Fallback()

    def get(self, request: CoordinateGet, deadline: float) -> Handling:
        """Answer Get."""
        key, condition = request.key, self._transport.condition
        others = self._others[key[0] << 8 | key[1]]
        if (
            others is None
            or condition(others[0]) is Condition.UP
            or condition(others[1]) is not Condition.UP
        ):
            return self._found(key, self._coordinator.read(key, deadline))
        standby = others[1]
        newest = peek(self._replica.raw(key))
        # Before the standby's state is told: what is taken for decided may be overtaken.
        known = self._decided.covers(newest)
        self._counters.operations += 1
        self._counters.peer_requests += 1
        asking = self._transport.ask(
            standby,
            ReadReplica(key, newest),
            deadline=deadline,
            timeout_s=self._coordinator.timeouts.partner_s,
        )
        answer: Answer = asking.get_loop().create_future()
        asking.add_done_callback(
            partial(self._looked, answer, key, standby, newest, known, deadline)
        )
        return answer

    def _looked(
        self,
        answer: Answer,
        key: bytes,
        standby: str,
        newest: Dot,
        known: bool,
        deadline: float,
        asked: asyncio.Future[Reply],
    ) -> None:
        """The standby's word on what this node holds: the same, or nothing as new."""
        reply = reply_of(asked)
        held = self._replica.readable(key)
        if held is None:
            if not answer.done():
                answer.set_result(Failed("its own copy is damaged"))
            return
        if peek(held) == newest and (
            type(reply) is SameVersion
            or (known and type(reply) is ReplicaState and peek(reply.state) < newest)
        ):
            found = GetResult(body_of(held) if is_live(held) else None)
            self._replica.writes.tell(key, answer, found)
            return
        heard = isinstance(reply, SameVersion | ReplicaState)
        since = self._coordinator.since(None if heard else standby)
        agreeing = self._coordinator.agree(key, deadline, since)
        self._passed_on.start(answer, self._found(key, agreeing))

    async def _found(self, key: bytes, reading: Coroutine[Any, Any, State]) -> Reply:
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
        return f"<Lookup {self._passed_on!r}>"
