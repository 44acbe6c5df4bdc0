"""Commit gossip: sends this node's commit index to its peers."""

import asyncio
from collections.abc import Collection

from ddb.node.consensus.dedup_window import DedupWindow
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.context import NodeContext
from ddb.node.replica.ballots import Ballots
from ddb.wire.messages import CommitNotice, CommitNoticeAck
from ddb.wire.ports import Condition, Silent, Unreachable

NOTICE_INTERVAL_S = 0.1
"""Seconds between two commit notices to a peer.

Too low: an idle cluster spends CPU on notices. Too high: after a node fails, reads of its last
changes cost a write each.
"""


class CommitGossip:
    """Sends commit notices while the node runs."""

    def __init__(
        self,
        context: NodeContext,
        peers: Collection[str],
        rounds: OpenRounds,
        ballots: Ballots,
        dedup_window: DedupWindow,
    ) -> None:
        self._transport = context.transport
        self._clock = context.clock
        self._peers = peers
        self._rounds = rounds
        self._ballots = ballots
        self._dedup_window = dedup_window
        self._acknowledged: dict[str, tuple[int, int]] = {}
        """By peer: the commit index and the reached counter that it has acknowledged."""

    async def run(self) -> None:
        """Send notices until cancelled. Raises any error other than a missing reply."""
        while True:
            await asyncio.sleep(NOTICE_INTERVAL_S)
            await self._notify()

    async def _notify(self) -> None:
        """Send a notice to each reachable peer that has not acknowledged the current state."""
        condition = self._transport.condition
        current = commit_index, reached = self._rounds.commit_index, self._ballots.reached
        self._dedup_window.issued(self._ballots.node_id, commit_index)
        for peer in self._peers:
            if condition(peer) > Condition.SLOW:
                # A peer that restarts may have lost the last notice.
                self._acknowledged.pop(peer, None)
        peers = [
            peer
            for peer in self._peers
            if condition(peer) <= Condition.SLOW and self._acknowledged.get(peer) != current
        ]
        notice = CommitNotice(
            self._ballots.node_id, self._rounds.first_counter, commit_index, reached
        )
        deadline = self._clock.now() + NOTICE_INTERVAL_S
        requests = [
            self._transport.ask(peer, notice, deadline=deadline, timeout_s=NOTICE_INTERVAL_S)
            for peer in peers
        ]
        replies = await asyncio.gather(*requests, return_exceptions=True)
        for peer, reply in zip(peers, replies, strict=True):
            if isinstance(reply, CommitNoticeAck):
                self._acknowledged[peer] = current
                self._dedup_window.learn_expired(reply.expired)
            elif isinstance(reply, BaseException) and not isinstance(reply, Silent | Unreachable):
                raise reply

    def __repr__(self) -> str:
        return f"<CommitGossip to {len(self._peers)} peers, {self._rounds!r}>"
