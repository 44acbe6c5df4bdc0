"""Round recovery: decides the records on which a round of this node was interrupted."""

import asyncio

from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.consensus.proposer import Outrun
from ddb.node.consensus.quorum_peers import Expired
from ddb.record.state import DamagedState
from ddb.wire.ports import Clock

RECOVERY_INTERVAL_S = 1.0
"""Seconds between two passes over the interrupted rounds.

Too low: a node with an unreachable peer spends its time on rounds that cannot end. Too high: COUNT
reads the partitions of these records row by row for longer.
"""
RECOVERY_BUDGET_S = 1.0
"""Seconds until one recovery gives up. Too low: it never ends under load. Too high: one record
without a quorum delays all others."""
RECOVERY_BATCH_KEYS = 16
"""Keys per batch. After a batch without a failure, the next one follows at once. Too low: one
failure ends the pass early. Too high: each record without a quorum prolongs the pass by 1 s."""


class RoundRecovery:
    """Runs a new round on each interrupted record, while the node runs."""

    def __init__(self, rounds: OpenRounds, coordinator: Coordinator, clock: Clock) -> None:
        self._rounds = rounds
        self._coordinator = coordinator
        self._clock = clock

    async def run(self) -> None:
        """Recover until cancelled. Raises `StoreFailed`."""
        while True:
            await asyncio.sleep(RECOVERY_INTERVAL_S)
            # A stalled disk or network under load interrupts hundreds of rounds. Each of them
            # makes COUNT read its partition record by record.
            while await self.recover_batch():
                continue

    async def recover_batch(self) -> bool:
        """Decide up to `RECOVERY_BATCH_KEYS` records, one after the other.

        Returns True if all of a full batch were decided, so that more may be left. Returns False if
        there are no more, or if some cannot be decided now. Raises `StoreFailed`.
        """
        ended = 0
        for key in self._rounds.interrupted(RECOVERY_BATCH_KEYS):
            try:
                await self._coordinator.refresh(key, self._clock.now() + RECOVERY_BUDGET_S)
                ended += 1
            except (Expired, Outrun):
                # No client waits for it; the next pass tries again.
                continue
            except DamagedState as damage:
                # The other two nodes of the cell decide the record without this copy.
                self._coordinator.complaints.about(damage, key)
        return ended == RECOVERY_BATCH_KEYS

    def __repr__(self) -> str:
        return f"<RoundRecovery {self._rounds!r}>"
