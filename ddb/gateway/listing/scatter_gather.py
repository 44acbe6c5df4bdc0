"""One question to several nodes at once, answered when two of each cell's three have answered."""

import asyncio
from collections.abc import Collection, Container, Iterable

from ddb.gateway.records import Applied, Unavailable
from ddb.ring.ring import CELL, Cell
from ddb.wire.messages import Digests, GetDigests, Reply, Scan, ScanPage
from ddb.wire.ports import Clock, Condition, Silent, Transport, Unreachable
from ddb.wire.timeouts import DEFAULT, Timeouts

Cells = frozenset[tuple[str, str, str]]
"""The nodes of some cells, each cell's in order of preference."""


class ScatterGather:
    """Asks the nodes that are up."""

    def __init__(self, transport: Transport, clock: Clock, timeouts: Timeouts = DEFAULT) -> None:
        self._transport = transport
        self._clock = clock
        self._timeouts = timeouts

    async def ask(
        self, request: Scan | GetDigests, cells: Cells, deadline: float
    ) -> dict[str, Reply]:
        """The answers of the cells' nodes, two of each cell at least. Raises `Unavailable`.

        A node that was silent before is waited for only while the others are too few.
        """
        good: dict[str, Reply] = {}
        while True:
            self.check(deadline)
            names = [name for name in self._worth_asking(cells) if name not in good]
            asked = {
                name: self._transport.ask(
                    name, request, deadline=deadline, timeout_s=self._timeouts.scan_s
                )
                for name in names
            }
            waiting = set(asked.values())
            try:
                while waiting:
                    # Time passes, too: a node that was waited for may turn out slow meanwhile.
                    _, waiting = await asyncio.wait(
                        waiting, timeout=self._timeouts.hedge_s, return_when=asyncio.FIRST_COMPLETED
                    )
                    good |= _answers(asked)
                    if suffice(good, cells) and not self._hopeful(asked, cells):
                        break
            finally:
                for reply in asked.values():
                    reply.cancel()
            if suffice(good, cells):
                return good
            await asyncio.sleep(self._timeouts.hedge_s)

    def check(self, deadline: float) -> None:
        """Raises `Unavailable` once it is too late."""
        if self._clock.now() >= deadline:
            raise Unavailable(Applied.NO, "two nodes of every cell did not answer in time")

    def out(self, cells: Cells) -> tuple[str, ...]:
        """The nodes of which no answer is to be expected."""
        condition, worst = self._transport.condition, self._worst_expected(cells)
        return tuple(name for name in _nodes(cells) if condition(name) > worst)

    def _worth_asking(self, cells: Cells) -> list[str]:
        """The nodes of the best conditions that suffice: up, then slow, then silent.

        A node that was silent for a moment may be the second one that a cell has left.
        """
        conditions = {name: self._transport.condition(name) for name in _nodes(cells)}
        for worst in (Condition.UP, Condition.SLOW):
            names = [name for name, condition in conditions.items() if condition <= worst]
            if suffice(names, cells):
                return names
        return [name for name, condition in conditions.items() if condition is not Condition.DOWN]

    def _worst_expected(self, cells: Cells) -> Condition:
        """The worst condition of a node that is waited for: SLOW only where UP is too few."""
        condition = self._transport.condition
        up = [name for name in _nodes(cells) if condition(name) is Condition.UP]
        return Condition.UP if suffice(up, cells) else Condition.SLOW

    def _hopeful(self, asked: dict[str, asyncio.Future[Reply]], cells: Cells) -> bool:
        """Whether a node that is waited for has yet to answer."""
        condition, worst = self._transport.condition, self._worst_expected(cells)
        return any(not reply.done() and condition(to) <= worst for to, reply in asked.items())

    def __repr__(self) -> str:
        return f"<Poll by {self._transport!r}>"


def cells_of(cells: Iterable[Cell]) -> Cells:
    """What `ScatterGather.ask` takes: each cell once."""
    return frozenset(cell.nodes for cell in cells)


def _answers(asked: dict[str, asyncio.Future[Reply]]) -> dict[str, Reply]:
    """The answers there are."""
    answers: dict[str, Reply] = {}
    for name, reply in asked.items():
        if not reply.done():
            continue
        failure = reply.exception()
        if failure is not None:
            if not isinstance(failure, Silent | Unreachable):
                raise failure
        elif isinstance(reply.result(), ScanPage | Digests):
            answers[name] = reply.result()
    return answers


def _nodes(cells: Cells) -> Collection[str]:
    return sorted({name for cell in cells for name in cell})


def suffice(names: Container[str], cells: Cells) -> bool:
    """Whether two of each cell's three nodes are among these."""
    return all(sum(node in names for node in cell) >= CELL - 1 for cell in cells)
