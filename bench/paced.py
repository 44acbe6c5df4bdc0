"""Requests at a steady rate, to measure latency during a fault.

wrk sends a request only after an answer. While a system stalls, wrk sends nothing, and its figures
hide the stall. Here every request is due at its own time, and its latency counts from that time.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

CONNECTIONS = 32
TICK_S = 0.001
"""Pause between two checks for due requests.

Shorter: the loop takes more CPU. Longer: requests leave late and in bursts.
"""
_LENGTH = b"content-length:"
_LAST_ANSWER_TIMEOUT_S = 5.0
"""Time for the last answers.

Shorter: slow answers do not count. Longer: a lost answer prolongs the run.
"""
_RETRY_PAUSE_S = 0.005
"""Pause before the next check or connection attempt.

Shorter: the loop takes more CPU. Longer: fewer connections after a loss.
"""


@dataclass(slots=True)
class Second:
    """The requests that were due within one second."""

    number: int
    latencies: list[float] = field(default_factory=list)
    """Seconds from the due time to an answer below 400."""
    refused: int = 0
    """Answers of 400 and above."""
    broken: int = 0
    """Requests without an answer."""

    @property
    def slowest(self) -> float:
        """Return the longest latency; 0 if there is none."""
        return max(self.latencies, default=0.0)

    def percentile(self, share: float) -> float:
        """Return the latency at `share` (0.99: the p99); 0 if none."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Due:
    """One request and its due time, on `time.monotonic`."""

    at: float
    request: bytes


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self, owner: "Pacer") -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._due: Due | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Offer the new connection to the pacer."""
        self._transport = cast("asyncio.Transport", transport)
        self._owner.idle(self)

    def send(self, due: Due) -> None:
        """Send a request. The connection is busy until it calls `Pacer.idle`."""
        self._due, self._received = due, b""
        if self._transport is not None:
            self._transport.write(due.request)

    def data_received(self, data: bytes) -> None:
        """Collect the bytes of the answer and report it."""
        self._received += data
        head, ended, body = self._received.partition(b"\r\n\r\n")
        if not ended or len(body) < _length(head) or self._due is None:
            return
        due, self._due = self._due, None
        self._owner.answered(due, int(head[9:12]))
        self._owner.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss. A request in flight gets no answer."""
        del exc
        due, self._due = self._due, None
        self._owner.lost(self, due)

    def close(self) -> None:
        """Abort the connection."""
        if self._transport is not None:
            self._transport.abort()


class Pacer:
    """Sends requests in turn to one address, `rate` per second."""

    def __init__(self, host: str, requests: Sequence[bytes], rate: float) -> None:
        """Prepare the connections.

        Args:
            host: The address, such as "127.0.0.1:8080".
            requests: Complete HTTP requests; the last one is followed by the first.
            rate: Requests per second.
        """
        self._address = host.split(":")
        self._requests = requests
        self._rate = rate
        self._idle: deque[Connection] = deque()
        self._waiting: deque[Due] = deque()
        self._open: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._began = 0.0
        self._stopped = False
        self.seconds: list[Second] = []

    async def run(self, until: asyncio.Event) -> None:
        """Send until the event, then wait for the last answers."""
        for _ in range(CONNECTIONS):
            await self._connect()
        self._began = time.monotonic()
        sent = 0
        while not until.is_set():
            now = time.monotonic()
            while sent < (now - self._began) * self._rate:
                at = self._began + sent / self._rate
                self._waiting.append(Due(at, self._requests[sent % len(self._requests)]))
                sent += 1
            self._send()
            await asyncio.sleep(TICK_S)
        for _ in range(round(_LAST_ANSWER_TIMEOUT_S / _RETRY_PAUSE_S)):
            if len(self._idle) == len(self._connections):
                break
            await asyncio.sleep(_RETRY_PAUSE_S)
        self._stopped = True
        for connection in self._connections:
            connection.close()

    def now(self) -> float:
        """Return the seconds since the first request was due."""
        return time.monotonic() - self._began

    def _send(self) -> None:
        while self._idle and self._waiting:
            self._idle.popleft().send(self._waiting.popleft())

    def idle(self, connection: Connection) -> None:
        """Accept a connection that can take a request."""
        self._connections.add(connection)
        self._idle.append(connection)
        self._send()

    def answered(self, due: Due, status: int) -> None:
        """Record an answer."""
        second = self._second(due)
        if status >= 400:
            second.refused += 1
        else:
            second.latencies.append(time.monotonic() - due.at)

    def lost(self, connection: Connection, due: Due | None) -> None:
        """Replace a lost connection. `due`: the request in flight; None if there was none."""
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
                await asyncio.sleep(_RETRY_PAUSE_S)
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
