"""Futures with the same order in a set in each run."""

import asyncio
from typing import Any


class SimFuture(asyncio.Future[Any]):
    """A future whose hash does not depend on its address, so a set of them has one order."""

    _hashed = 0
    _serial = 0

    @classmethod
    def start_over(cls) -> None:
        """Number from one again, for a new run."""
        cls._hashed = 0

    def __hash__(self) -> int:
        # A future gets its number at its first hash. Few are hashed, and each run makes many.
        if not self._serial:
            SimFuture._hashed += 1
            self._serial = SimFuture._hashed
        return self._serial

    def __eq__(self, other: object) -> bool:
        return self is other
