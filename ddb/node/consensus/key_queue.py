"""The key queue: one turn at a time per key, in order of arrival.

A read and a repair have a turn of their own. The changes that wait for a key share one turn, and
take one place in the queue (`ddb.node.fastpath.combiner`).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ddb.record.state import State

TURN_FALL_WEIGHT = 0.5
"""Weight in the mean turn of a turn that is shorter than the mean.

Too low: nodes refuse changes long after one slow turn. Too high: one short turn hides a long queue.
"""
TURN_RISE_WEIGHT = 0.05
"""Weight in the mean turn of a turn that is longer than the mean.

Too high: a single silent peer makes one long turn, and the node refuses the short ones behind it.
Too low: the node admits changes that it must refuse later.
"""

Turn = asyncio.Future[State | None]
"""Done with None once the turn has come, or with the state that answers a queued read instead."""


class KeyQueue:
    """Turns on keys. Only keys in use take memory."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, deque[tuple[float | None, Turn]]] = {}
        """By key in use: the waiting turns, with the arrival time of each read."""
        self._turn_began_at: dict[bytes, float] = {}
        self._mean_turn_s = 0.0

    def free(self, key: bytes) -> bool:
        """Whether no operation has the key's turn, so that `enter` is allowed."""
        return key not in self._waiting

    def enter(self, key: bytes) -> None:
        """Take the turn of a free key; `leave` must follow."""
        self._waiting[key] = deque()

    def leave(self, key: bytes) -> None:
        """Give the key to the turn that has waited longest."""
        queue = self._waiting[key]
        while queue:
            _, waiting = queue.popleft()
            if not waiting.done():
                self._measure(key, waiting.get_loop().time())
                waiting.set_result(None)
                return
        del self._waiting[key]
        if key in self._turn_began_at:
            self._measure(key, asyncio.get_running_loop().time())
            del self._turn_began_at[key]

    def skip_turn(self, key: bytes) -> None:
        """Leave the present turn on `key` out of the mean: it did nothing."""
        self._turn_began_at.pop(key, None)

    def expected_s(self, key: bytes, later: int = 0) -> float:
        """Return the likely seconds until one more turn begins, or one that comes `later`.

        Args:
            key: the record.
            later: turns between the last one in the queue and this one.
        """
        return 0.0 if self.free(key) else (self.length(key) + 1 + later) * self._mean_turn_s

    def resolve_reads(self, key: bytes, began: float, state: State) -> None:
        """Answer queued reads with `state`, which a round has decided.

        Only reads that arrived before the round `began` may see its result, in seconds by the
        steady clock. Later ones keep their place.
        """
        for received_at, waiting in self._waiting[key]:
            if received_at is not None and received_at < began and not waiting.done():
                waiting.set_result(state)

    @asynccontextmanager
    async def turn(
        self, key: bytes, received_at: float | None = None
    ) -> AsyncIterator[State | None]:
        """Have the key's turn inside the context.

        Yields None with the turn, or without it the decided state that answers a read.

        Args:
            key: the record.
            received_at: arrival of a read, by the steady clock in seconds; None for other turns.
        """
        state = None
        if self.free(key):
            self.enter(key)
            self._turn_began_at[key] = asyncio.get_running_loop().time()
        else:
            state = await self._wait(key, received_at)
        try:
            yield state
        finally:
            if state is None:
                self.leave(key)

    async def _wait(self, key: bytes, received_at: float | None) -> State | None:
        turn: Turn = asyncio.get_running_loop().create_future()
        self._waiting[key].append((received_at, turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result() is None:
                # The turn and the cancellation came together. The turn goes to the next operation.
                self.leave(key)
            raise

    def _measure(self, key: bytes, now: float) -> None:
        """Add the turn that ends at `now` to the mean. The next turn begins now."""
        began = self._turn_began_at.get(key)
        self._turn_began_at[key] = now
        if began is not None:
            excess_s = now - began - self._mean_turn_s
            self._mean_turn_s += excess_s * (TURN_FALL_WEIGHT if excess_s < 0 else TURN_RISE_WEIGHT)

    def length(self, key: bytes) -> int:
        """Return the number of turns that wait for the key."""
        return len(self._waiting.get(key, ()))

    def __repr__(self) -> str:
        return f"<KeyQueue {len(self._waiting)} keys>"
