"""The quorum read: finds a record's decided state with one peer, and repairs the older copy.

The reader compares the peer's reply with its own copy as of the reply, not as of the request. Its
own copy may have changed in between, and a comparison with the older one can return a stale state.
"""

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.quorum_peers import Expired, QuorumPeers
from ddb.node.context import NodeContext
from ddb.node.replica.acceptor import Acceptor, Verdict
from ddb.record.codec import decode, peek
from ddb.record.state import State
from ddb.wire.messages import Accept, Accepted, ReadReplica, Rejected, ReplicaState, SameVersion


class QuorumRead:
    """Reads for a coordinator, with read repair."""

    def __init__(
        self,
        context: NodeContext,
        replica: Acceptor,
        commit_index: CommitIndex,
        peers: QuorumPeers,
    ) -> None:
        self._ring = context.ring
        self._clock = context.clock
        self._counters = context.counters
        self._replica = replica
        self._commit_index = commit_index
        self._peers = peers

    async def find(self, key: bytes, deadline: float, failed_after: float) -> State | None:
        """Return the state that two replicas have, after repair if needed.

        Returns None if a replica refused the repair; only a round can decide then.

        Args:
            key: the record.
            deadline: by the steady clock, in seconds.
            failed_after: gives up once both peers have failed at or after this time, in seconds.

        Raises:
            Expired: no peer replied in time, or both failed.
        """
        candidates = self._peers.by_preference(key, failed_after)
        while True:
            asked_at = self._clock.now()
            if asked_at >= deadline:
                raise Expired(False, "no peer replied in time")
            peer = next(candidates)
            asked = self._replica.copies.newest(key)
            # Checked before the request: by the reply, a newer state may replace a decided one.
            decided = self._commit_index.covers(asked)
            reply = await self._peers.ask(peer, ReadReplica(key, asked), deadline)
            if not isinstance(reply, SameVersion | ReplicaState):
                await self._peers.handle_failure(peer, key, failed_after, asked_at, reply)
                continue
            raw = self._replica.copies.raw(key)
            own = peek(raw)
            theirs = asked if isinstance(reply, SameVersion) else peek(reply.state)
            if own < asked:
                # The own copy was a hint, handed off and dropped since. The reply may be older.
                continue
            if own == theirs:
                await self._replica.writes.wait_key(key)
                return decode(raw)
            if isinstance(reply, SameVersion) or own > theirs:
                await self._replica.writes.wait_key(key)
                still_decided = decided and own == asked
                if await self._repair_peer(key, peer, raw, reply, still_decided, deadline):
                    return decode(raw)
                return None
            if self._replica.offer(key, reply.state) is Verdict.REFUSED:
                return None
            self._counters.count_repair(decode(reply.state), decode(raw))
            await self._replica.writes.wait_key(key)
            return decode(reply.state)

    async def _repair_peer(
        self,
        key: bytes,
        peer: str,
        raw: bytes,
        reply: SameVersion | ReplicaState,
        decided: bool,
        deadline: float,
    ) -> bool:
        """Send the own copy to a peer with an older one. Return whether it is decided now.

        `decided`: True if the own copy was decided before; a standby then needs no copy. False if
        only the peer's acceptance decides it.
        """
        if decided and peer not in self._ring.cell(key).homes:
            return True
        stored = await self._peers.ask(peer, Accept(key, raw), deadline)
        if isinstance(stored, Accepted):
            theirs = decode(reply.state) if isinstance(reply, ReplicaState) else State()
            self._counters.count_repair(decode(raw), theirs)
            return True
        return decided and not isinstance(stored, Rejected)

    def __repr__(self) -> str:
        return f"<QuorumRead with {self._peers}>"
