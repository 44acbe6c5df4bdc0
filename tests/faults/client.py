"""One client of the cluster: a connection whose every answer goes into the journal."""

import asyncio
import json
from collections.abc import Mapping

from tests.faults.http import Answer, Connection, Lateness, Lost, Refused
from tests.faults.journal import Journal

PATH = "/api/users/"
_AGAIN = 0.02
_GATEWAY_TAKES = 30.0


class Client:
    """Asks, and notes how long it took and what was answered."""

    def __init__(self, port: int, lateness: Lateness, journal: Journal) -> None:
        self.journal = journal
        self._connection = Connection(port, lateness)

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        **headers: str,
    ) -> Answer:
        """The answer. Raises `Refused` (nothing was done) and `Lost` (nobody knows)."""
        asked_in = self.journal.phase
        what = f"{method} {path}"
        sent = b"" if body is None else json.dumps(body).encode()
        try:
            answer = await self._connection.ask(method, path, sent, **headers)
        except (Lost, Refused) as error:
            self.journal.lost(asked_in, what, f"{type(error).__name__}: {error}")
            await asyncio.sleep(_AGAIN)
            raise
        self.journal.answered(asked_in, what, answer)
        return answer

    async def insist(
        self, method: str, path: str, body: Mapping[str, object] | None, key: str, **headers: str
    ) -> Answer:
        """The answer to a request sent again under its Idempotency-Key until there is one.

        Raises `Lost` after half a minute.
        """
        async with asyncio.timeout(_GATEWAY_TAKES):
            while True:
                try:
                    answer = await self.ask(method, path, body, idempotency_key=key, **headers)
                except (Lost, Refused):
                    continue
                if answer.status != 503:
                    return answer
                await asyncio.sleep(_AGAIN)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"<Client {self._connection!r}>"
