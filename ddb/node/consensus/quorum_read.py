"""Agreement: which state of a record is decided, found out with any one other node of its cell."""

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.quorum_peers import Expired, QuorumPeers
from ddb.node.metrics import NodeMetrics
from ddb.node.replica.acceptor import Acceptor, Verdict
from ddb.record.codec import decode, peek
from ddb.record.state import State
from ddb.ring.ring import Ring
from ddb.wire.messages import Accept, Accepted, ReadReplica, Rejected, ReplicaState, SameVersion
from ddb.wire.ports import Clock


class QuorumRead:
    """Reads for a coordinator, which mend the copies they find behind."""

    def __init__(
        self,
        ring: Ring,
        replica: Acceptor,
        decided: CommitIndex,
        partners: QuorumPeers,
        clock: Clock,
        counters: NodeMetrics,
    ) -> None:
        self._ring = ring
        self._replica = replica
        self._decided = decided
        self._partners = partners
        self._clock = clock
        self._counters = counters

    async def find(self, key: bytes, deadline: float, since: float) -> State | None:
        """The state that two replicas hold, one of them repaired if need be. Raises `Expired`.

        At once where both partners were silent `since` then.

        None where a replica refused to be repaired, which takes a full round.
        """
        partners = self._partners.of(key, since)
        while True:
            if self._clock.now() >= deadline:
                raise Expired(False, "no partner answered in time")
            partner = next(partners)
            asked = self._replica.newest(key)
            # Before the other one's state is told: what is taken for decided may be overtaken.
            decided = self._decided.covers(asked)
            reply = await self._partners.ask(partner, ReadReplica(key, asked), deadline)
            if not isinstance(reply, SameVersion | ReplicaState):
                await self._partners.failed(partner, key, since, False, reply)
                continue
            raw = self._replica.raw(key)
            own = peek(raw)
            theirs = asked if isinstance(reply, SameVersion) else peek(reply.state)
            if own < asked:
                # Our own copy was a hint, handed off and dropped since: the answer may be older.
                continue
            if own == theirs:
                await self._replica.writes.key_durable(key)
                return decode(raw)
            if isinstance(reply, SameVersion) or own > theirs:
                await self._replica.writes.key_durable(key)
                known = decided and own == asked
                if await self._push(key, partner, raw, reply, known, deadline):
                    return decode(raw)
                return None
            if self._replica.offer(key, reply.state) is Verdict.REFUSED:
                return None
            self._counters.repaired(decode(reply.state), decode(raw))
            await self._replica.writes.key_durable(key)
            return decode(reply.state)

    async def _push(
        self,
        key: bytes,
        partner: str,
        raw: bytes,
        reply: SameVersion | ReplicaState,
        decided: bool,
        deadline: float,
    ) -> bool:
        """Repair a partner that is behind our copy `raw`; whether that copy is now decided."""
        if decided and partner not in self._ring.cell(key).homes:
            return True
        stored = await self._partners.ask(partner, Accept(key, raw), deadline)
        if isinstance(stored, Accepted):
            theirs = decode(reply.state) if isinstance(reply, ReplicaState) else State()
            self._counters.repaired(decode(raw), theirs)
            return True
        return decided and not isinstance(stored, Rejected)

    def __repr__(self) -> str:
        return f"<Agreement with {self._partners}>"
