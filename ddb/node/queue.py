"""One operation at a time per key, in order of arrival."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class KeyQueue:
    """Turns on keys. Only keys in use take memory."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, key: bytes) -> AsyncIterator[None]:
        """Hold the key's turn inside the context."""
        queue = self._waiting.get(key)
        if queue is None:
            self._waiting[key] = deque()
        else:
            mine = asyncio.get_running_loop().create_future()
            queue.append(mine)
            await mine
        try:
            yield
        finally:
            queue = self._waiting[key]
            if queue:
                queue.popleft().set_result(None)
            else:
                del self._waiting[key]

    def length(self, key: bytes) -> int:
        """How many operations wait behind the one whose turn it is."""
        return len(self._waiting.get(key, ()))

    def __repr__(self) -> str:
        return f"<KeyQueue {len(self._waiting)} keys>"
