"""A standby with hints, and homes that confirm its batches when a test wants it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ddb.node.repair.handoff import Handoff
from ddb.node.replica.acceptor import Acceptor
from ddb.record.codec import encode, peek
from ddb.record.state import State
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import key_of, partition_in
from ddb.wire.messages import HandoffBatch, HandoffResult, Reply
from ddb.wire.ports import Silent
from tests.fakes.cell import RING, cell_node
from tests.fakes.transport import Asked, FakeTransport
from tests.loop import turns

NAME = "db-0"
HOMES = ("db-1", "db-2")
BATCH = 4
PARTITION = next(n for n, cell in enumerate(RING.cells) if cell.homes == HOMES)
KEYS = [
    key for key in (key_of(f"user-{n}") for n in range(40_000)) if partition_in(key) == PARTITION
][: 5 * BATCH]
"""Keys of one partition, so that a pass over it takes several batches."""
Sent = tuple[str, HandoffBatch]
"""A home, and the batch that it got."""


class Homes(FakeTransport):
    """Homes that confirm a batch when the test calls `take`."""

    def __init__(self) -> None:
        super().__init__(self._keep_waiting)
        self.sent: list[Sent] = []
        self.answers: list[asyncio.Future[Reply]] = []

    def _keep_waiting(self, asked: Asked) -> asyncio.Future[Reply]:
        assert isinstance(asked.request, HandoffBatch)
        self.sent.append((asked.to, asked.request))
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]

    def take(self, count: int) -> None:
        """Confirm the oldest `count` open requests: the home stores all states."""
        self._take(self._waiting()[:count])

    def take_newest(self, count: int) -> None:
        """Like `take`, for the newest `count` open requests."""
        self._take(self._waiting()[-count:])

    def lose(self, count: int) -> None:
        """Fail the oldest `count` open requests as `Silent`."""
        for (to, _), answer in self._waiting()[:count]:
            answer.set_exception(Silent(to))

    def refuse(self, count: int) -> None:
        """Answer the oldest `count` open requests: the home stores no state of the batch."""
        for (_, request), answer in self._waiting()[:count]:
            answer.set_result(HandoffResult([(NEVER, NEVER)] * len(request.states)))

    def fail_newest(self, count: int, error: Exception) -> None:
        """Fail the newest `count` open requests with `error`."""
        for _, answer in self._waiting()[-count:]:
            answer.set_exception(error)

    def batches(self) -> int:
        """Return the number of batches that all homes got."""
        return len(self.sent) // len(HOMES)

    def _take(self, waiting: list[tuple[Sent, asyncio.Future[Reply]]]) -> None:
        for (_, request), answer in waiting:
            answer.set_result(HandoffResult([(peek(raw), NEVER) for _, raw in request.states]))

    def _waiting(self) -> list[tuple[Sent, asyncio.Future[Reply]]]:
        pairs = zip(self.sent, self.answers, strict=True)
        return [(sent, answer) for sent, answer in pairs if not answer.done()]


@asynccontextmanager
async def standby(path: Path) -> AsyncIterator[tuple[Handoff, Acceptor, Homes]]:
    """Yield a standby with a hint of each key, without clients."""
    homes = Homes()
    with cell_node(path, NAME, homes) as node:
        for number, key in enumerate(KEYS):
            state = State((Dot((1 << 40) + number, 9),), True, b"{}")
            node.replica.offer(key, encode(state))
        await node.replica.writes.wait_all()
        handoff = Handoff(node.context, node.replica, node.ballots, node.coordinator)
        yield handoff, node.replica, homes


async def take_all(sweep: asyncio.Future[int], homes: Homes) -> None:
    """Confirm all batches until the end of `sweep`."""
    while not sweep.done():
        homes.take(len(HOMES))
        await turns(20, 0.001)
    await sweep
