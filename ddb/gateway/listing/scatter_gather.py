"""One request to several nodes at once, done when each cell has two replies."""

import asyncio
from collections.abc import Collection, Container, Iterable

from ddb.gateway.records import Applied, Unavailable
from ddb.ring.ring import CELL, Cell
from ddb.wire.messages import Digests, GetDigests, Reply, Scan, ScanPage
from ddb.wire.ports import Clock, Condition, Silent, Transport, Unreachable
from ddb.wire.timeouts import DEFAULT, Timeouts

Cells = frozenset[tuple[str, str, str]]
"""Some cells; of each, its nodes in order of preference."""


class ScatterGather:
    """The requests of one LIST or COUNT to the nodes of some cells.

    A node is *late* once the others were enough and it kept the operation waiting. The operation
    does not wait for it a second time. So a slow node costs one wait, not one per request.
    """

    def __init__(
        self, transport: Transport, clock: Clock, deadline: float, timeouts: Timeouts = DEFAULT
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._timeouts = timeouts
        self._late: set[str] = set()
        self.deadline = deadline

    async def ask(self, request: Scan | GetDigests, cells: Cells) -> dict[str, Reply]:
        """Return replies by node, at least two for each cell.

        The call waits for a suspect or late node only while the other nodes are too few.

        Raises: `Unavailable`.
        """
        replies: dict[str, Reply] = {}
        while True:
            self.check()
            names = [name for name in self._worth_asking(cells) if name not in replies]
            asked = {
                name: self._transport.ask(
                    name, request, deadline=self.deadline, timeout_s=self._timeouts.scan_s
                )
                for name in names
            }
            pending = set(asked.values())
            enough_at: float | None = None
            late: set[str] = set()
            try:
                while pending:
                    # Wakes up each `hedge_s`, too: a node may have become slow or suspect.
                    _, pending = await asyncio.wait(
                        pending, timeout=self._timeouts.hedge_s, return_when=asyncio.FIRST_COMPLETED
                    )
                    replies |= _arrived(asked)
                    if not suffice(replies, cells):
                        continue
                    now = self._clock.now()
                    enough_at = now if enough_at is None else enough_at
                    if now >= enough_at + self._timeouts.hedge_s:
                        late.update(name for name in asked if name not in replies)
                    if not self._expects_more(asked, cells):
                        break
            finally:
                self._late |= late
                for future in asked.values():
                    future.cancel()
            if suffice(replies, cells):
                return replies
            await asyncio.sleep(self._timeouts.hedge_s)

    def wait_for_late(self) -> None:
        """Wait for late nodes again: one of the others lacks rows that they may have."""
        self._late.clear()

    def check(self) -> None:
        """Check the time. Raises `Unavailable` after the deadline."""
        if self._clock.now() >= self.deadline:
            raise Unavailable(Applied.NO, "a cell had fewer than two nodes that answered in time")

    def unexpected(self, cells: Cells) -> tuple[str, ...]:
        """Return the nodes that the gateway does not expect to reply."""
        expected = self._expected(cells)
        return tuple(name for name in _nodes(cells) if name not in expected)

    def _worth_asking(self, cells: Cells) -> list[str]:
        """Return the nodes to ask: those that are up; if too few, slow ones; else suspects too.

        A suspect node may be the only second node that a cell has left.
        """
        conditions = {name: self._transport.condition(name) for name in _nodes(cells)}
        for worst in (Condition.UP, Condition.SLOW):
            names = [name for name, condition in conditions.items() if condition <= worst]
            if suffice(names, cells):
                return names
        return [name for name, condition in conditions.items() if condition is not Condition.DOWN]

    def _expected(self, cells: Cells) -> list[str]:
        """Return the nodes to wait for: those up and not late; if too few, late and slow ones."""
        condition = self._transport.condition
        up = [name for name in _nodes(cells) if condition(name) is Condition.UP]
        in_time = [name for name in up if name not in self._late]
        if suffice(in_time, cells):
            return in_time
        if suffice(up, cells):
            return up
        return [name for name in _nodes(cells) if condition(name) <= Condition.SLOW]

    def _expects_more(self, asked: dict[str, asyncio.Future[Reply]], cells: Cells) -> bool:
        """Return whether a node that the gateway waits for has not replied."""
        expected = self._expected(cells)
        return any(name in expected and not future.done() for name, future in asked.items())

    def __repr__(self) -> str:
        return f"<ScatterGather by {self._transport!r}>"


def cells_of(cells: Iterable[Cell]) -> Cells:
    """Collect cells as `ScatterGather.ask` takes them: each one once."""
    return frozenset(cell.nodes for cell in cells)


def _arrived(asked: dict[str, asyncio.Future[Reply]]) -> dict[str, Reply]:
    """Return the replies that have arrived. Raises any error other than a missing reply."""
    replies: dict[str, Reply] = {}
    for name, future in asked.items():
        if not future.done():
            continue
        failure = future.exception()
        if failure is not None:
            if not isinstance(failure, Silent | Unreachable):
                raise failure
        elif isinstance(future.result(), ScanPage | Digests):
            replies[name] = future.result()
    return replies


def _nodes(cells: Cells) -> Collection[str]:
    return sorted({name for cell in cells for name in cell})


def suffice(names: Container[str], cells: Cells) -> bool:
    """Return whether `names` has two of the three nodes of each cell."""
    return all(sum(node in names for node in cell) >= CELL - 1 for cell in cells)
