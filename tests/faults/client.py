"""One client of the cluster, whose answers all go into the journal."""

import asyncio
import json
from collections.abc import Mapping

from tests.faults.journal import Journal
from tests.http.connection import Connection, Lateness, Lost, Refused, TimedAnswer

PATH = "/api/users/"
_RETRY_PAUSE_S = 0.02
"""Too low: retries load the machine. Too high: few retries fall into a fault."""
_GATEWAY_TIMEOUT_S = 30.0
"""Too low: a restart of the gateway on a busy machine fails. Too high: a stuck run is slow."""


class Client:
    """Sends requests, and records each latency and answer."""

    def __init__(self, port: int, lateness: Lateness, journal: Journal) -> None:
        self.journal = journal
        self._connection = Connection(port, lateness)

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        **headers: str,
    ) -> TimedAnswer:
        """Send a request and return the answer.

        Raises:
            Refused: no connection; the request was certainly not applied.
            Lost: no answer; the request may have been applied.
        """
        sent_in = self.journal.phase
        request = f"{method} {path}"
        content = b"" if body is None else json.dumps(body).encode()
        try:
            answer = await self._connection.ask(method, path, content, **headers)
        except (Lost, Refused) as error:
            self.journal.lost(sent_in, request, f"{type(error).__name__}: {error}")
            await asyncio.sleep(_RETRY_PAUSE_S)
            raise
        self.journal.answered(sent_in, request, answer)
        return answer

    async def insist(
        self, method: str, path: str, body: Mapping[str, object] | None = None, **headers: str
    ) -> TimedAnswer:
        """Repeat a request until it is decided, and return the answer.

        A change needs an Idempotency-Key among its headers; otherwise it may take effect twice.

        Raises:
            TimeoutError: no decision within 30 s; the request may have been applied.
        """
        async with asyncio.timeout(_GATEWAY_TIMEOUT_S):
            while True:
                try:
                    answer = await self.ask(method, path, body, **headers)
                except (Lost, Refused):
                    continue
                if answer.status != 503:
                    return answer
                await asyncio.sleep(_RETRY_PAUSE_S)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"<Client {self._connection!r}>"
