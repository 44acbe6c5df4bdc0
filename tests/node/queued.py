"""Operations that wait in a key queue."""

import asyncio

from ddb.node.consensus.key_queue import KeyQueue

KEY, OTHER = b"key", b"other"


class Worker:
    """Takes a turn, logs its name, and keeps the turn until `go` is set."""

    def __init__(self, queue: KeyQueue, name: str, log: list[str], key: bytes = KEY) -> None:
        self.go = asyncio.Event()
        self.task = asyncio.ensure_future(self._work(queue, name, log, key))

    async def _work(self, queue: KeyQueue, name: str, log: list[str], key: bytes) -> None:
        async with queue.turn(key):
            log.append(name)
            await self.go.wait()


class Reader:
    """Waits to read, and logs its result: a decided state, or the turn."""

    def __init__(self, queue: KeyQueue, received_at: float, log: list[str]) -> None:
        self.task = asyncio.ensure_future(self._read(queue, received_at, log))

    async def _read(self, queue: KeyQueue, received_at: float, log: list[str]) -> None:
        async with queue.turn(KEY, received_at) as state:
            result = "has the turn" if state is None else state.body.decode()
            log.append(f"{received_at:.0f} {result}")
