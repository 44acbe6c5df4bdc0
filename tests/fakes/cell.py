"""The deciding parts of one node of a cell, on a real store."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.context import NodeContext
from ddb.node.fastpath.fast_read import FastRead
from ddb.node.fastpath.fast_write import FastWrite
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.rocksdb import RocksStore
from ddb.ring.ring import Ring, key_of
from ddb.runtime.system_clock import SystemClock
from ddb.settings import Fsync
from ddb.wire.ports import Transport
from ddb.wire.timeouts import DEFAULT, Timeouts

CLOCK = SystemClock()
RING = Ring(("db-0", "db-1", "db-2"))
KEY = key_of("ada")
CELL = RING.cell(KEY)
"""The cell of `KEY`; a test runs some of its nodes."""
NAME, OTHER_HOME = CELL.homes


@dataclass(frozen=True, slots=True)
class CellNode:
    """A replica with its coordinator and fast paths; a test chooses the transport."""

    context: NodeContext
    ballots: Ballots
    replica: Acceptor
    rounds: OpenRounds
    commit_index: CommitIndex
    coordinator: Coordinator
    fast_write: FastWrite
    fast_read: FastRead

    async def store_state(self, key: bytes, state: bytes) -> None:
        """Store an encoded state durably."""
        self.replica.offer(key, state)
        await self.replica.writes.wait_all()

    def __repr__(self) -> str:
        return f"<CellNode {self.replica.name}>"


@contextmanager
def cell_node(
    path: Path,
    name: str,
    transport: Transport,
    *,
    node_id: int = 1,
    timeouts: Timeouts = DEFAULT,
) -> Iterator[CellNode]:
    """Run the deciding parts of the node `name`.

    Args:
        path: the directory of its store.
        name: its name in `RING`.
        transport: carries its requests to peers.
        node_id: its id in ballots and commit indexes.
        timeouts: how long it waits.
    """
    store = RocksStore(path, Fsync.OS)
    ballots = Ballots(node_id, store, CLOCK)
    replica, rounds = Acceptor(name, RING, store, ballots), OpenRounds(ballots)
    commit_index = CommitIndex(node_id, store)
    context = NodeContext(name, RING, store, transport, CLOCK, random.Random(1), timeouts=timeouts)
    coordinator = Coordinator(context, replica, ballots, rounds, commit_index)
    try:
        yield CellNode(
            context,
            ballots,
            replica,
            rounds,
            commit_index,
            coordinator,
            FastWrite(context, replica, ballots, rounds, coordinator),
            FastRead(context, replica, commit_index, coordinator),
        )
    finally:
        store.close()
