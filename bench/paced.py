"""Requests at a steady rate, whatever the answers do: what clients see while something breaks.

wrk sends as fast as it is answered, so that a system that stands still is asked nothing and looks
well. Here every request is due at its time, and its latency counts from then.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

CONNECTIONS = 32
TICK = 0.001
_LENGTH = b"content-length:"
_PATIENCE = 5.0
_REST = 0.005


@dataclass(slots=True)
class Second:
    """What was due within one second."""

    number: int
    latencies: list[float] = field(default_factory=list)
    """Seconds, of good answers."""
    refused: int = 0
    """Answers of 400 and above."""
    broken: int = 0
    """Requests without an answer."""

    @property
    def worst(self) -> float:
        """The longest of the good answers; 0 where there was none."""
        return max(self.latencies, default=0.0)

    def percentile(self, share: float) -> float:
        """The latency that this share of the good answers stays within; 0 where there is none."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Due:
    """One request and when it should be sent."""

    at: float
    wire: bytes


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self, owner: "Pacer") -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._due: Due | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is ready for a request."""
        self._transport = cast("asyncio.Transport", transport)
        self._owner.idle(self)

    def send(self, due: Due) -> None:
        """Send a request; the connection is busy until `Pacer.idle`."""
        self._due, self._received = due, b""
        if self._transport is not None:
            self._transport.write(due.wire)

    def data_received(self, data: bytes) -> None:
        """Put the answer together."""
        self._received += data
        head, ended, body = self._received.partition(b"\r\n\r\n")
        if not ended or len(body) < _length(head) or self._due is None:
            return
        due, self._due = self._due, None
        self._owner.answered(due, int(head[9:12]))
        self._owner.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Its request, if any, gets no answer."""
        del exc
        due, self._due = self._due, None
        self._owner.lost(self, due)

    def close(self) -> None:
        """Give it up."""
        if self._transport is not None:
            self._transport.abort()


class Pacer:
    """Sends the calls in turn, `rate` of them a second, to one address."""

    def __init__(self, host: str, wires: Sequence[bytes], rate: float) -> None:
        self._address = host.split(":")
        self._wires = wires
        self._rate = rate
        self._idle: deque[Connection] = deque()
        self._waiting: deque[Due] = deque()
        self._open: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._began = 0.0
        self._stopped = False
        self.seconds: list[Second] = []

    async def run(self, until: asyncio.Event) -> None:
        """Send until the event, then wait for the answers that are still due."""
        for _ in range(CONNECTIONS):
            await self._connect()
        self._began = time.monotonic()
        sent = 0
        while not until.is_set():
            now = time.monotonic()
            while sent < (now - self._began) * self._rate:
                at = self._began + sent / self._rate
                self._waiting.append(Due(at, self._wires[sent % len(self._wires)]))
                sent += 1
            self._send()
            await asyncio.sleep(TICK)
        for _ in range(round(_PATIENCE / _REST)):
            if len(self._idle) == len(self._connections):
                break
            await asyncio.sleep(_REST)
        self._stopped = True
        for connection in self._connections:
            connection.close()

    def now(self) -> float:
        """Seconds since the first request was due."""
        return time.monotonic() - self._began

    def _send(self) -> None:
        while self._idle and self._waiting:
            self._idle.popleft().send(self._waiting.popleft())

    def idle(self, connection: Connection) -> None:
        """A connection can take a request."""
        self._connections.add(connection)
        self._idle.append(connection)
        self._send()

    def answered(self, due: Due, status: int) -> None:
        """An answer has come."""
        second = self._second(due)
        if status >= 400:
            second.refused += 1
        else:
            second.latencies.append(time.monotonic() - due.at)

    def lost(self, connection: Connection, due: Due | None) -> None:
        """A connection is no more; another takes its place."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if due is not None:
            self._second(due).broken += 1
        if not self._stopped:
            task = asyncio.ensure_future(self._connect())
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _connect(self) -> None:
        host, port = self._address
        while not self._stopped:
            try:
                loop = asyncio.get_running_loop()
                await loop.create_connection(lambda: Connection(self), host, int(port))
            except OSError:
                await asyncio.sleep(_REST)
            else:
                return

    def _second(self, due: Due) -> Second:
        number = int(due.at - self._began)
        while len(self.seconds) <= number:
            self.seconds.append(Second(len(self.seconds)))
        return self.seconds[number]

    def __repr__(self) -> str:
        return f"<Pacer {self._rate:.0f}/s, {len(self._waiting)} waiting>"


def _length(head: bytes) -> int:
    at = head.lower().find(_LENGTH)
    if at < 0:
        return 0
    return int(head[at + len(_LENGTH) :].partition(b"\r\n")[0])
