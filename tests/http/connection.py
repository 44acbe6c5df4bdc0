"""A cheap HTTP client, so that measurements show the server and not the client.

A connection carries one request at a time. Each answer has both times, and the delay of this
process's own event loop at that moment.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, cast

ANSWER_TIMEOUT_S = 5.0
"""Too low: a late answer counts as lost. Too high: a lost one blocks the client for long."""
_TICK_S = 0.002
"""Too low: the timer loads the client. Too high: `delay_s` misses short delays."""


class Lost(Exception):
    """The connection ended or timed out; the request may have been applied."""


class Refused(Exception):
    """No connection was possible; the request was certainly not applied."""


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """A whole answer.

    Args:
        sent_at: time of the request, on `time.monotonic`.
        received_at: time of the answer, on `time.monotonic`.
        delay_s: seconds by which this process may have read the answer late.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    sent_at: float
    received_at: float
    delay_s: float

    @property
    def json(self) -> Any:
        """The parsed body, or None if it is empty."""
        return json.loads(self.body) if self.body else None

    @property
    def etag(self) -> bytes:
        """The entity tag, with its quotes."""
        return self.headers.get(b"etag", b"")


class Lateness:
    """The delay of this process's event loop, measured by a periodic timer."""

    def __init__(self) -> None:
        self.worst = 0.0
        self.total = 0.0
        self._due = 0.0
        self._loop = asyncio.get_running_loop()
        self._plan()

    def _plan(self) -> None:
        self._due = time.monotonic() + _TICK_S
        self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        late = max(0.0, time.monotonic() - self._due)
        self.worst = max(self.worst, late)
        self.total += late
        self._plan()

    def now(self, now: float) -> float:
        """Return the seconds by which the timer is late now; for so long nothing was read."""
        return max(0.0, now - self._due)

    def stop(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def __repr__(self) -> str:
        return f"<Lateness worst {self.worst * 1000:.0f} ms>"


class Connection(asyncio.Protocol):
    """One keep-alive connection to `port`; it reconnects after a loss."""

    def __init__(self, port: int, lateness: Lateness) -> None:
        self._port = port
        self._lateness = lateness
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent_at = 0.0
        self._waiting: asyncio.Future[TimedAnswer] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> TimedAnswer:
        """Send a request and return the answer. Raises `Refused` and `Lost`."""
        if self._transport is None:
            try:
                await self._loop.create_connection(lambda: self, "127.0.0.1", self._port)
            except OSError as error:
                raise Refused(str(error)) from error
        assert self._transport is not None
        lines = [f"{method} {path} HTTP/1.1", "host: x", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines) + "\r\n\r\n"
        self._waiting = self._loop.create_future()
        self._sent_at = time.monotonic()
        self._transport.write(head.encode() + body)
        # Two waits: if this process stood still, the first one times out with the answer unread.
        for _ in range(2):
            await asyncio.wait((self._waiting,), timeout=ANSWER_TIMEOUT_S / 2)
            if self._waiting.done():
                return self._waiting.result()
        self.close()
        raise Lost(f"no answer within {ANSWER_TIMEOUT_S} s")

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Implement `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """Implement `asyncio.Protocol`."""
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Lost(str(exc or "closed by the server")))

    def data_received(self, data: bytes) -> None:
        """Implement `asyncio.Protocol`."""
        now = time.monotonic()
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        first, *lines = head.split(b"\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        length = int(headers.get(b"content-length", b"0"))
        if len(body) < length:
            return
        self._buffer = body[length:]
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(
                TimedAnswer(
                    int(first.split(b" ", 2)[1]),
                    headers,
                    body[:length],
                    self._sent_at,
                    now,
                    self._lateness.now(now),
                )
            )

    def __repr__(self) -> str:
        return f"<Connection to {self._port}, {'open' if self._transport else 'closed'}>"
