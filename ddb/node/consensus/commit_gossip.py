"""Settling: telling peers which rounds have ended, and ending those that were left open."""

import asyncio
from collections.abc import Collection

from ddb.node.consensus.coordinator import Coordinator, Outrun
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.consensus.quorum_peers import Expired
from ddb.node.replica.ballots import Ballots
from ddb.record.state import DamagedState
from ddb.wire.messages import CommitNotice, CommitNoticeAck
from ddb.wire.ports import Clock, Condition, Silent, Transport, Unreachable

NOTICE_INTERVAL_S = 0.1
"""Seconds between words to the peers."""
RECOVERY_INTERVAL_S = 1.0
"""Seconds between attempts to end what was left open."""
RECOVERY_BUDGET_S = 1.0
RECOVERY_BATCH_KEYS = 16
"""Records at a time of which that is tried."""


class CommitGossip:
    """Does both for one node, for as long as it runs."""

    def __init__(
        self,
        node_id: int,
        peers: Collection[str],
        rounds: OpenRounds,
        ballots: Ballots,
        coordinator: Coordinator,
        transport: Transport,
        clock: Clock,
    ) -> None:
        self._node_id = node_id
        self._peers = peers
        self._rounds = rounds
        self._ballots = ballots
        self._coordinator = coordinator
        self._transport = transport
        self._clock = clock
        self._told: dict[str, tuple[int, int]] = {}

    async def run(self) -> None:
        """For ever. Raises `StoreFailed`."""
        await asyncio.gather(self._telling(), self._ending())

    async def _telling(self) -> None:
        while True:
            await asyncio.sleep(NOTICE_INTERVAL_S)
            await self._tell()

    async def _ending(self) -> None:
        while True:
            await asyncio.sleep(RECOVERY_INTERVAL_S)
            # They are hundreds where a disk or the network stood still under load, and each
            # makes COUNT read its partition's records one by one.
            while await self._end():
                continue

    async def _tell(self) -> None:
        """Tell the peers that have not heard it yet. Raises what is no want of an answer."""
        condition = self._transport.condition
        upto, reached = self._rounds.upto, self._ballots.reached
        memory = self._coordinator.memory
        memory.issued(self._node_id, upto)
        for peer in self._peers:
            if condition(peer) > Condition.SLOW:
                # It may come back without what it had heard last.
                self._told.pop(peer, None)
        peers = [
            peer
            for peer in self._peers
            if condition(peer) <= Condition.SLOW and self._told.get(peer) != (upto, reached)
        ]
        word = CommitNotice(self._node_id, self._rounds.since, upto, reached)
        deadline = self._clock.now() + NOTICE_INTERVAL_S
        asked = [
            self._transport.ask(peer, word, deadline=deadline, timeout_s=NOTICE_INTERVAL_S)
            for peer in peers
        ]
        for peer, reply in zip(
            peers, await asyncio.gather(*asked, return_exceptions=True), strict=True
        ):
            if isinstance(reply, CommitNoticeAck):
                self._told[peer] = (upto, reached)
                memory.learn_expired(reply.expired)
            elif isinstance(reply, BaseException) and not isinstance(reply, Silent | Unreachable):
                raise reply

    async def _end(self) -> bool:
        """Decide the records of which a round was left open, one by one. Raises `StoreFailed`.

        Whether there may be more of which it is worth trying now.
        """
        ended = 0
        for key in self._rounds.left(RECOVERY_BATCH_KEYS):
            try:
                await self._coordinator.refresh(key, self._clock.now() + RECOVERY_BUDGET_S)
                ended += 1
            except (Expired, Outrun):
                # Nobody waits for it: there is a next time.
                continue
            except DamagedState as damage:
                # The other two of the cell decide the record without this copy.
                self._coordinator.complaints.about(damage, key)
        return ended == RECOVERY_BATCH_KEYS

    def __repr__(self) -> str:
        return f"<Settling {self._rounds!r}>"
