"""An HTTP client that costs next to nothing, so that what is measured is the server.

One request at a time per connection. Each answer carries when it was asked for, when it came, and
how late this process's own loop was at that moment.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, cast

PATIENCE = 5.0
_TICK = 0.002


class Lost(Exception):
    """The connection ended, or nothing came for `PATIENCE`: whether it was done is not known."""


class Refused(Exception):
    """There was no connection and none could be made: certainly nothing was done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; times on `time.monotonic`."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    asked: float
    came: float
    own: float
    """Seconds by which this process may have read the answer late."""

    @property
    def json(self) -> Any:
        """The body, parsed; None where it is empty."""
        return json.loads(self.body) if self.body else None

    @property
    def etag(self) -> bytes:
        """The entity tag, quotes and all."""
        return self.headers.get(b"etag", b"")


class Lateness:
    """How late this process's loop runs: a timer that notes when it should have fired."""

    def __init__(self) -> None:
        self.worst = 0.0
        self.total = 0.0
        self._due = 0.0
        self._loop = asyncio.get_running_loop()
        self._plan()

    def _plan(self) -> None:
        self._due = time.monotonic() + _TICK
        self._timer = self._loop.call_later(_TICK, self._tick)

    def _tick(self) -> None:
        late = max(0.0, time.monotonic() - self._due)
        self.worst = max(self.worst, late)
        self.total += late
        self._plan()

    def now(self, moment: float) -> float:
        """The overdue of the timer at `moment`, which is now: for so long nothing was read."""
        return max(0.0, moment - self._due)

    def stop(self) -> None:
        """Fire no more."""
        self._timer.cancel()

    def __repr__(self) -> str:
        return f"<Lateness worst {self.worst * 1000:.0f} ms>"


class Connection(asyncio.Protocol):
    """One kept-alive connection to `port`, made again after a loss."""

    def __init__(self, port: int, lateness: Lateness) -> None:
        self._port = port
        self._lateness = lateness
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._asked = 0.0
        self._waiting: asyncio.Future[Answer] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """The answer. Raises `Refused` and `Lost`."""
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
        self._asked = time.monotonic()
        self._transport.write(head.encode() + body)
        # Twice: after this process itself has stood still the answer is there, yet to be read.
        for _ in range(2):
            await asyncio.wait((self._waiting,), timeout=PATIENCE / 2)
            if self._waiting.done():
                return self._waiting.result()
        self.close()
        raise Lost(f"no answer within {PATIENCE} s")

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Lost(str(exc or "closed by the server")))

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        came = time.monotonic()
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.split(b"\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        length = int(headers.get(b"content-length", b"0"))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(
                Answer(
                    int(first.split(b" ", 2)[1]),
                    headers,
                    rest[:length],
                    self._asked,
                    came,
                    self._lateness.now(came),
                )
            )

    def __repr__(self) -> str:
        return f"<Connection to {self._port}, {'open' if self._transport else 'closed'}>"
