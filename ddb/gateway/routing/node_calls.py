"""Calls from a gateway to nodes, and what a missing reply means.

A node that did not get a request has done nothing. A node that is silent may have acted on it.
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
    """What this gateway has done since it started."""

    operations: int = 0
    """Reads and changes of single records."""
    node_requests: int = 0
    """Requests to nodes that those took."""
    retries: int = 0
    """Attempts beyond the first."""
    unavailable: int = 0
    """Operations that could not be decided in time."""
    overloaded: int = 0
    """Operations refused before anything was done for them, as too many waited before them."""


class NodeCalls:
    """Asks nodes on behalf of single-record operations, and counts the requests."""

    def __init__(self, transport: Transport, timeouts: Timeouts, counters: GatewayMetrics) -> None:
        self.condition = transport.condition
        self._transport = transport
        self._timeouts = timeouts
        self._counters = counters

    async def ask(self, to: str, request: Request, deadline: float) -> Reply | Unreachable | None:
        """The reply; None where there was none and the node may act all the same."""
        self._counters.node_requests += 1
        patience = self._timeouts.coordinator_s
        try:
            return await self._transport.ask(to, request, deadline=deadline, patience=patience)
        except Silent:
            return None
        except Unreachable as unreachable:
            self._counters.node_requests -= 1
            return unreachable

    async def ask_homes(
        self, home: str, partner: str, key: bytes, deadline: float
    ) -> tuple[bytes, bool, VersionOnly] | None:
        """One home's state and whether it knows that to be decided; the other's newest dot."""
        transport, patience = self._transport, self._timeouts.coordinator_s
        self._counters.node_requests += 2
        whole = transport.ask(
            home, ReadReplica(key, NEVER, whole=False), deadline=deadline, patience=patience
        )
        newest = transport.ask(partner, ReadVersion(key), deadline=deadline, patience=patience)
        try:
            held, dot = await whole, await newest
        except (Silent, Unreachable):
            return None
        finally:
            # Where it has failed already, this counts as having looked at its failure.
            newest.cancel()
        if type(dot) is not VersionOnly:
            return None
        if type(held) is ReplicaState:
            return held.state, held.decided, dot
        return (b"", False, dot) if type(held) is SameVersion else None

    def __repr__(self) -> str:
        return f"<NodeCalls {self._counters.node_requests} through {self._transport!r}>"
