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
    """Sends a request to the nodes of some cells, and gathers their replies."""

    def __init__(self, transport: Transport, clock: Clock, timeouts: Timeouts = DEFAULT) -> None:
        self._transport = transport
        self._clock = clock
        self._timeouts = timeouts

    async def ask(
        self, request: Scan | GetDigests, cells: Cells, deadline: float
    ) -> dict[str, Reply]:
        """Return replies by node, at least two for each cell.

        The call waits for a suspect node only while the other nodes are too few.

        Raises: `Unavailable`.
        """
        replies: dict[str, Reply] = {}
        while True:
            self.check(deadline)
            names = [name for name in self._worth_asking(cells) if name not in replies]
            asked = {
                name: self._transport.ask(
                    name, request, deadline=deadline, timeout_s=self._timeouts.scan_s
                )
                for name in names
            }
            pending = set(asked.values())
            try:
                while pending:
                    # Wakes up each `hedge_s`, too: a node may have become slow or suspect.
                    _, pending = await asyncio.wait(
                        pending, timeout=self._timeouts.hedge_s, return_when=asyncio.FIRST_COMPLETED
                    )
                    replies |= _arrived(asked)
                    if suffice(replies, cells) and not self._expects_more(asked, cells):
                        break
            finally:
                for future in asked.values():
                    future.cancel()
            if suffice(replies, cells):
                return replies
            await asyncio.sleep(self._timeouts.hedge_s)

    def check(self, deadline: float) -> None:
        """Check the time. Raises `Unavailable` after the deadline."""
        if self._clock.now() >= deadline:
            raise Unavailable(Applied.NO, "a cell had fewer than two nodes that answered in time")

    def unexpected(self, cells: Cells) -> tuple[str, ...]:
        """Return the nodes that the gateway does not expect to reply."""
        condition, worst = self._transport.condition, self._worst_expected(cells)
        return tuple(name for name in _nodes(cells) if condition(name) > worst)

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

    def _worst_expected(self, cells: Cells) -> Condition:
        """Return the worst condition to wait for: SLOW only if too few nodes are UP."""
        condition = self._transport.condition
        up = [name for name in _nodes(cells) if condition(name) is Condition.UP]
        return Condition.UP if suffice(up, cells) else Condition.SLOW

    def _expects_more(self, asked: dict[str, asyncio.Future[Reply]], cells: Cells) -> bool:
        """Return whether a node that the gateway waits for has not replied."""
        condition, worst = self._transport.condition, self._worst_expected(cells)
        return any(not future.done() and condition(to) <= worst for to, future in asked.items())

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
