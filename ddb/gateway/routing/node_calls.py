"""Calls from a gateway to nodes, and what a missing reply means.

`Unreachable`: the request never left, so the node has done nothing. `Silent`: the node may have
received the request and may still act on it.
"""

from dataclasses import dataclass

from ddb.record.version import NEVER
from ddb.wire.messages import (
    ReadReplica,
    ReadVersion,
    ReplicaState,
    Reply,
    Request,
    SameVersion,
    VersionOnly,
)
from ddb.wire.ports import Silent, Transport, Unreachable
from ddb.wire.timeouts import Timeouts


@dataclass(slots=True)
class GatewayMetrics:
    """Counters of this gateway since it started."""

    operations: int = 0
    """Reads and changes of single records."""
    node_requests: int = 0
    """Requests to nodes on behalf of those operations."""
    retries: int = 0
    """Attempts beyond the first of each operation."""
    unavailable: int = 0
    """Operations that no two nodes decided before the deadline."""
    overloaded: int = 0
    """Operations refused before their start, because too many others waited."""


class NodeCalls:
    """Sends the requests of single-record operations to nodes, and counts them."""

    def __init__(self, transport: Transport, timeouts: Timeouts, counters: GatewayMetrics) -> None:
        self.condition = transport.condition
        """The gateway's current belief about a node, by the node's name."""
        self._transport = transport
        self._timeouts = timeouts
        self._counters = counters

    async def ask(self, to: str, request: Request, deadline: float) -> Reply | Unreachable | None:
        """Return the reply; None: the node is silent, and may act on the request."""
        self._counters.node_requests += 1
        timeout_s = self._timeouts.coordinator_s
        try:
            return await self._transport.ask(to, request, deadline=deadline, timeout_s=timeout_s)
        except Silent:
            return None
        except Unreachable as unreachable:
            self._counters.node_requests -= 1
            return unreachable

    async def ask_homes(
        self, full: str, brief: str, key: bytes, deadline: float
    ) -> tuple[bytes, bool, VersionOnly] | None:
        """Ask one home for its state of a record and the other home for its version, at once.

        Args:
            full: the home that sends its state.
            brief: the home that sends its newest dot only.

        Returns the encoded state of `full` (empty: absent), whether `full` calls it decided, and
        the reply of `brief`. None: one of the two did not reply.
        """
        transport, timeout_s = self._transport, self._timeouts.coordinator_s
        self._counters.node_requests += 2
        state_reply = transport.ask(
            full, ReadReplica(key, NEVER, whole=False), deadline=deadline, timeout_s=timeout_s
        )
        version_reply = transport.ask(
            brief, ReadVersion(key), deadline=deadline, timeout_s=timeout_s
        )
        try:
            state, version = await state_reply, await version_reply
        except (Silent, Unreachable):
            return None
        finally:
            # asyncio logs a failed future that no code reads; to cancel it counts as reading.
            version_reply.cancel()
        if type(version) is not VersionOnly:
            return None
        if type(state) is ReplicaState:
            return state.state, state.decided, version
        return (b"", False, version) if type(state) is SameVersion else None

    def __repr__(self) -> str:
        return f"<NodeCalls {self._counters.node_requests} through {self._transport!r}>"
