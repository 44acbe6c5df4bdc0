"""`Records` in memory, for a gateway without nodes."""

import asyncio
import json

from ddb.gateway.records import Answer, Cursor, Page
from ddb.record.change import Change, Outcome

ADA = b'{"id":"ada","name":"Ada","email":"ada@example.com","group":1}'


class FakeRecords:
    """`Records` with Ada alone; a closed `gate` delays each answer."""

    def __init__(self, *, failure: Exception | None = None, is_ready: bool = True) -> None:
        """Prepare the records.

        Args:
            failure: the error of each operation. None: the operations succeed.
            is_ready: the reply of `ready`.
        """
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = 0
        self.ended = 0
        self._failure = failure
        self._is_ready = is_ready

    async def read(self, id: str) -> bytes | None:
        """Implement `Records.read`."""
        await self._pass()
        return ADA if id == "ada" else None

    async def change(self, id: str, change: Change, *, key: str | None = None) -> Answer:
        """Implement `Records.change`."""
        await self._pass()
        if id != "ada":
            return Answer(Outcome.ABSENT, None)
        if not change.body:
            return Answer(Outcome.DONE, None)
        return Answer(Outcome.DONE, json.dumps(json.loads(ADA) | json.loads(change.body)).encode())

    async def count(self) -> int:
        """Implement `Records.count`."""
        await self._pass()
        return 1

    async def page(self, *, after: Cursor | None, offset: int, limit: int) -> Page:
        """Implement `Records.page`; the page fills all buffers between two sockets."""
        await self._pass()
        return Page([ADA * 100] * limit, None)

    def ready(self) -> bool:
        """Implement `Records.ready`."""
        return self._is_ready

    def status(self) -> dict[str, object]:
        """Implement `Records.status`."""
        return {"nodes": {}}

    async def _pass(self) -> None:
        self.begun += 1
        await self.gate.wait()
        self.ended += 1
        if self._failure is not None:
            raise self._failure

    def __repr__(self) -> str:
        return f"<FakeRecords {self.begun} begun, {self.ended} ended>"
