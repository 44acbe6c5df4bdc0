"""Quorum peers: the two other nodes of a record's cell.

A quorum is two of the three nodes, so either peer completes it.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Iterator

from ddb.node.context import NodeContext
from ddb.node.metrics import Cause
from ddb.ring.ring import Ring
from ddb.wire.messages import Failed, Reply, Request
from ddb.wire.ports import Condition, Silent, Unreachable

MAX_DECLINED_RECORDS = 1000
"""Declined records that a node remembers. Lower than the operations in progress: an operation that
both peers decline repeats until its deadline. Higher: more memory and no other effect."""


class Expired(Exception):
    """The operation is undecided: its deadline has passed, or both peers failed.

    `in_doubt`: True if the change may still take effect. False if it never takes effect.
    """

    def __init__(self, in_doubt: bool, reason: str) -> None:
        super().__init__(reason)
        self.in_doubt = in_doubt


CellPeers = tuple[str, str]
"""The other home, and the standby."""


def peers_by_partition(name: str, ring: Ring) -> tuple[CellPeers | None, ...]:
    """Return the peers of the node `name` by partition.

    The entry of a partition is None if the node is not one of its homes.
    """
    return tuple(
        (next(home for home in cell.homes if home != name), cell.standby)
        if name in cell.homes
        else None
        for cell in ring.cells
    )


class QuorumPeers:
    """Chooses and asks the peers of one node, and records their failures."""

    def __init__(self, context: NodeContext) -> None:
        self._name = context.name
        self._ring = context.ring
        self._transport = context.transport
        self._clock = context.clock
        self._counters = context.counters
        self._timeouts = context.timeouts
        self._failed_at: dict[str, float] = {}
        """By peer: the time of its last failure, in clock seconds. A reply removes the entry.

        A failure is a request that the peer did not answer, or could not receive.
        """
        self._declined_at: OrderedDict[tuple[str, bytes], float] = OrderedDict()
        """By peer and record: when the peer last declined a request for the record.

        A peer declines, for example, if its copy is damaged. The oldest entry comes first.
        """

    def by_preference(self, key: bytes, failed_after: float) -> Iterator[str]:
        """Yield the next peer to ask, without end.

        Each step uses the failures and connections of its own moment. Both peers take part
        before one repeats. A peer that failed at or after `failed_after` comes last. Its
        connection does not matter: a connected peer may still receive nothing.
        """
        tries: dict[str, int] = {
            name: 0 for name in self._ring.cell(key).nodes if name != self._name
        }
        while True:
            best = min(
                tries,
                key=lambda name: (
                    tries[name],
                    self._failed_since(name, key, failed_after),
                    self._transport.condition(name),
                ),
            )
            tries[best] += 1
            yield best
            if all(tries.values()):
                tries = dict.fromkeys(tries, 0)

    async def ask(
        self, peer: str, request: Request, deadline: float, cause: Cause = Cause.OPERATION
    ) -> Reply | None:
        """Send a request and return the peer's reply.

        Returns None if no reply arrives in time: the peer may have acted all the same. Returns
        `Failed` if the peer is unreachable: it did nothing, like a peer that declines.

        A deadline that comes before the peer's timeout ends the request. It is no failure of the
        peer.
        """
        self._counters.count_requests(cause)
        began = self._clock.now()
        try:
            reply = await self._transport.ask(
                peer, request, deadline=deadline, timeout_s=self._timeouts.peer_s
            )
        except Silent:
            now = self._clock.now()
            if now < deadline or now - began >= self._timeouts.peer_s:
                self.record_failure(peer)
            return None
        except Unreachable as unreachable:
            self.record_failure(peer)
            self._counters.count_requests(cause, -1)
            return Failed(str(unreachable))
        self._failed_at.pop(peer, None)
        return reply

    def record_failure(self, peer: str) -> None:
        """Record that a peer has failed now."""
        self._failed_at[peer] = self._clock.now()

    def both_failed(self, key: bytes, failed_after: float) -> bool:
        """Return True if both peers failed at or after `failed_after`.

        A declined request for `key` counts as a failure.
        """
        return all(
            self._failed_since(name, key, failed_after)
            for name in self._ring.cell(key).nodes
            if name != self._name
        )

    def _failed_since(self, name: str, key: bytes, failed_after: float) -> bool:
        return (
            self._failed_at.get(name, -math.inf) >= failed_after
            or self._declined_at.get((name, key), -math.inf) >= failed_after
        )

    def _record_declined(self, peer: str, key: bytes) -> None:
        self._declined_at[peer, key] = self._clock.now()
        self._declined_at.move_to_end((peer, key))
        if len(self._declined_at) > MAX_DECLINED_RECORDS:
            self._declined_at.popitem(last=False)

    async def handle_failure(
        self,
        peer: str,
        key: bytes,
        failed_after: float,
        asked_at: float,
        reply: Reply | None,
    ) -> None:
        """Handle a request without a useful reply, and pause before a worse peer.

        The pause happens if the other peer is down, or has a worse connection than this one. A
        request that only its deadline has ended needs neither: the caller checks its deadlines.

        Args:
            peer: the node that received the request.
            key: the record of the request.
            failed_after: the start of the operation, by the steady clock in seconds.
            asked_at: the time of the request, or earlier, in seconds.
            reply: a reply that declines, which concerns only this record. None if no reply
                arrived, which concerns every record of the peer.

        Raises:
            Expired: both peers failed or declined at or after `failed_after`. This node may
                itself be cut off, and the gateway can still ask another node. The caller knows
                whether an earlier proposal leaves a doubt.
        """
        if reply is not None:
            self._record_declined(peer, key)
        elif self._failed_at.get(peer, -math.inf) < asked_at:
            return
        if self.both_failed(key, failed_after):
            raise Expired(False, "neither peer replied")
        (other,) = (name for name in self._ring.cell(key).nodes if name not in (self._name, peer))
        condition = self._transport.condition(other)
        if condition is Condition.DOWN or condition > self._transport.condition(peer):
            await asyncio.sleep(self._timeouts.hedge_s)

    def __repr__(self) -> str:
        return f"<QuorumPeers of {self._name}, {len(self._failed_at)} failed>"
