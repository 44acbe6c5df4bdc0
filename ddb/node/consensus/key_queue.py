"""One operation at a time per key, in order of arrival.

A change whose turn would come too late is refused: at once where the turns before it are likely to
take longer than it can wait, or when it has waited for so long.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ddb.record.state import State

FALLS = 0.5
RISES = 0.05
"""How much one turn counts in the mean. It falls quickly and rises slowly, since a single long turn
comes of one silent partner, and the turns behind it are short again."""

Turn = asyncio.Future[State | None]
"""Done with None as the turn comes, or else with the state that is told instead."""


class Crowded(Exception):
    """The key's turn would come too late. Nothing was begun."""


class KeyQueue:
    """Turns on keys. Only keys in use take memory."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, deque[tuple[float | None, Turn]]] = {}
        self._handed_on: dict[bytes, float] = {}
        self._turn_s = 0.0

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
                self._measure(key, waiting.get_loop().time())
                waiting.set_result(None)
                return
        del self._waiting[key]
        self._handed_on.pop(key, None)

    def expected_s(self, key: bytes) -> float:
        """Seconds until a newcomer's turn, by how long turns take."""
        return (self.length(key) + 1) * self._turn_s

    def tell(self, key: bytes, since: float, state: State) -> None:
        """Answer those who wait to read: a round begun at `since`, after them, decided `state`."""
        for began, waiting in self._waiting[key]:
            if began is not None and began < since and not waiting.done():
                waiting.set_result(state)

    @asynccontextmanager
    async def turn(
        self, key: bytes, since: float | None = None, within_s: float | None = None
    ) -> AsyncIterator[State | None]:
        """Hold the key's turn inside the context.

        Whoever merely reads, and has waited `since` then, may be told a state instead of it.
        Raises `Crowded` where the turn does not come within `within_s` seconds.
        """
        word = None
        if self.free(key):
            self.enter(key)
        else:
            word = await self._wait(key, since, within_s)
        try:
            yield word
        finally:
            if word is None:
                self.leave(key)

    async def _wait(self, key: bytes, since: float | None, within_s: float | None) -> State | None:
        loop = asyncio.get_running_loop()
        mine: Turn = loop.create_future()
        timer = None
        if within_s is not None:
            if self.expected_s(key) > within_s:
                raise Crowded(f"{self.length(key) + 1} operations on this record wait before it")
            timer = loop.call_later(max(0.0, within_s), _expire, mine)
        self._waiting[key].append((since, mine))
        try:
            return await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled() and _is_turn(mine):
                # The turn came, and with it the cancellation: it must not be lost.
                self.leave(key)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _measure(self, key: bytes, now: float) -> None:
        """A turn ended at `now` and the next began; how long it took counts in the mean."""
        began = self._handed_on.get(key)
        self._handed_on[key] = now
        if began is not None:
            excess = now - began - self._turn_s
            self._turn_s += excess * (FALLS if excess < 0 else RISES)

    def length(self, key: bytes) -> int:
        """How many operations wait behind the one whose turn it is."""
        return len(self._waiting.get(key, ()))

    def __repr__(self) -> str:
        return f"<KeyQueue {len(self._waiting)} keys>"


def _expire(waiting: Turn) -> None:
    if not waiting.done():
        waiting.set_exception(Crowded("its turn on this record did not come in time"))


def _is_turn(waiting: Turn) -> bool:
    return waiting.exception() is None and waiting.result() is None
