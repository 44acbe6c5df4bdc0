"""Waiting, in virtual time, for conditions that send no notice."""

import asyncio
from collections.abc import Callable

from tests.sim.loop import SimLoop

CHECK_INTERVAL_S = 0.02


class Waits:
    """All conditions that a run waits for."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._awaited: list[tuple[Callable[[], bool], float, asyncio.Future[bool]]] = []

    async def until(self, what: Callable[[], bool], seconds: float = 1e9) -> bool:
        """Wait until `what` is true; return False if it is not within `seconds`."""
        if what():
            return True
        if not self._awaited:
            self._loop.later_in(self._loop.root, CHECK_INTERVAL_S, self._check)
        came: asyncio.Future[bool] = self._loop.create_future()
        self._awaited.append((what, self._loop.now + seconds, came))
        return await came

    def _check(self) -> None:
        """Check all conditions at once, so that one timer serves all faults."""
        awaited, self._awaited = self._awaited, []
        for what, end, came in awaited:
            if what():
                came.set_result(True)
            elif self._loop.now >= end:
                came.set_result(False)
            else:
                self._awaited.append((what, end, came))
        if self._awaited:
            self._loop.later_in(self._loop.root, CHECK_INTERVAL_S, self._check)

    def __repr__(self) -> str:
        return f"<Waits for {len(self._awaited)}>"
