"""One operation at a time per key, in order of arrival."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ddb.record.state import State

Turn = asyncio.Future[State | None]
"""Done with None as the turn comes, or else with the state that is told instead."""


class KeyQueue:
    """Turns on keys. Only keys in use take memory."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, deque[tuple[float | None, Turn]]] = {}

    def free(self, key: bytes) -> bool:
        """Whether nobody has the key's turn, so that `enter` may be called."""
        return key not in self._waiting

    def enter(self, key: bytes) -> None:
        """Take the turn of a free key; `leave` must follow."""
        self._waiting[key] = deque()

    def leave(self, key: bytes) -> None:
        """Give the turn to whoever has waited longest."""
        queue = self._waiting[key]
        while queue:
            _, waiting = queue.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return
        del self._waiting[key]

    def tell(self, key: bytes, since: float, state: State) -> None:
        """Answer those who wait to read: a round begun at `since`, after them, decided `state`."""
        for began, waiting in self._waiting[key]:
            if began is not None and began < since and not waiting.done():
                waiting.set_result(state)

    @asynccontextmanager
    async def turn(self, key: bytes, since: float | None = None) -> AsyncIterator[State | None]:
        """Hold the key's turn inside the context.

        Whoever merely reads, and has waited `since` then, may be told a state instead of it.
        """
        word = None
        if self.free(key):
            self.enter(key)
        else:
            word = await self._wait(key, since)
        try:
            yield word
        finally:
            if word is None:
                self.leave(key)

    async def _wait(self, key: bytes, since: float | None) -> State | None:
        mine: Turn = asyncio.get_running_loop().create_future()
        self._waiting[key].append((since, mine))
        try:
            return await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled() and mine.result() is None:
                # The turn came, and with it the cancellation: it must not be lost.
                self.leave(key)
            raise

    def length(self, key: bytes) -> int:
        """How many operations wait behind the one whose turn it is."""
        return len(self._waiting.get(key, ()))

    def __repr__(self) -> str:
        return f"<KeyQueue {len(self._waiting)} keys>"
