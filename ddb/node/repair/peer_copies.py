"""The copies that the other nodes of a cell have, as refill and rebuild ask for them."""

from ddb.node.context import NodeContext
from ddb.record.version import NEVER
from ddb.wire.messages import PullShare, ReadReplica, ReplicaState, Reply, Request, SharePage
from ddb.wire.ports import Silent, Unreachable


class NotNow(Exception):
    """A peer or the disk prevents a refill or rebuild now. Copied states stay on disk."""


class PeerFailed(NotNow):
    """A peer did not answer, or declined."""

    def __init__(self, peer: str, failure: str) -> None:
        super().__init__(f"{peer} {failure}")
        self.peer = peer


class PeerCopies:
    """Asks the peers of one node for their copies.

    `budget_s`: seconds until the deadline of the request. `timeout_s`: seconds without a reply
    after which the peer is silent.
    """

    def __init__(self, context: NodeContext) -> None:
        self._name = context.name
        self._transport = context.transport
        self._clock = context.clock
        self._counters = context.counters

    async def page(
        self, peer: str, request: PullShare, *, budget_s: float, timeout_s: float
    ) -> SharePage:
        """Return one page of a share of `peer`. Raises `PeerFailed`."""
        reply = await self._ask(peer, request, budget_s, timeout_s)
        if not isinstance(reply, SharePage):
            raise PeerFailed(peer, "declined")
        return reply

    async def state(self, peer: str, key: bytes, *, budget_s: float, timeout_s: float) -> bytes:
        """Return the encoded state that `peer` has of a record, or b"". Raises `PeerFailed`."""
        reply = await self._ask(peer, ReadReplica(key, NEVER), budget_s, timeout_s)
        if not isinstance(reply, ReplicaState):
            raise PeerFailed(peer, "declined")
        return reply.state

    async def _ask(self, peer: str, request: Request, budget_s: float, timeout_s: float) -> Reply:
        self._counters.repair_requests += 1
        deadline = self._clock.now() + budget_s
        try:
            return await self._transport.ask(peer, request, deadline=deadline, timeout_s=timeout_s)
        except (Silent, Unreachable) as error:
            raise PeerFailed(peer, "did not answer") from error

    def __repr__(self) -> str:
        return f"<PeerCopies for {self._name}>"
