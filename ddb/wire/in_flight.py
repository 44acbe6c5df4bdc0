"""The requests in flight on one link: how they leave, and when the node counts as silent.

Requests of one pass of the event loop leave in one write. A sweep ends each request whose node is
silent, or whose deadline has passed.
"""

import asyncio
from typing import Protocol

from ddb.wire.frames import frame
from ddb.wire.messages import Reply, Request
from ddb.wire.peer_clock import PeerClock
from ddb.wire.ports import Clock, Silent

SWEEP_INTERVAL_S = 0.01
"""Seconds between two checks for silent requests.

Lower: a busy process spends more CPU on them. Higher: a request ends later than its timeout.
"""
PROBE_AFTER_S = 2 * SWEEP_INTERVAL_S
"""Seconds of silence during a request after which the link pings the node at once.

Lower: slow replies cause extra pings. Higher: an idle node may not reply before the timeout.
"""
OWN_STALL_S = 3 * SWEEP_INTERVAL_S
"""Seconds between two sweeps that show a pause of this process; no peer caused it.

Lower: a late sweep hides a silent peer. Higher: the pause alone ends requests. One sweep and this
pause are together shorter than any timeout.
"""
HARD_TIMEOUT_FACTOR = 3.0
"""Multiple of its timeout that a request may wait for a node that replies to others.

Lower: requests that wait for a flush end too early. Higher: a lost request uses up its budget.
"""
MAX_UNSENT_BYTES = 8 * 1024 * 1024
"""Bytes of requests that a node may leave unread before the link closes its connection.

Lower: a burst of handoff batches closes the connection. Higher: a stopped node costs memory.
"""
MOST_CORRELATION = 0xFFFFFFFF
"""The greatest correlation that a frame can carry."""


Waiting = tuple[asyncio.Future[Reply], float, float, float]
"""One request in flight: its future, the time of sending, its deadline, its timeout in seconds."""


class Owner(Protocol):
    """The link that the requests belong to."""

    def silent(self) -> None:
        """Handle a timeout during which no frame arrived from the node."""
        ...

    def probe(self, now: float) -> None:
        """Ping the node: a request waits, and no frame has arrived for `PROBE_AFTER_S`."""
        ...

    def lost(self, reason: str) -> None:
        """Give up the connection."""
        ...


class InFlight:
    """Sends the requests of one link to the node `name`, and ends those without a reply."""

    def __init__(self, name: str, clock: Clock, owner: Owner) -> None:
        self.transport: asyncio.Transport | None = None
        """The present connection; None while there is none."""
        self.waiting: dict[int, Waiting] = {}
        """By correlation."""
        self.received_at = 0.0
        """The time of the last frame from the node, by the steady clock in seconds."""
        self.peer_clock = PeerClock()
        self._name = name
        self._clock = clock
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._correlation = 0
        self._out: list[bytes] = []
        self._sweeping = False
        self._swept_at = 0.0

    def send(
        self, request: Request, future: asyncio.Future[Reply], deadline: float, timeout_s: float
    ) -> None:
        """Send a request; `future` gets its reply. The times are as in `Transport.ask`."""
        # The node sends its notices with correlation 0.
        self._correlation = correlation = (self._correlation % MOST_CORRELATION) + 1
        now = self._clock.now()
        self.waiting[correlation] = (future, now, deadline, timeout_s)
        out = self._out
        if not out:
            self._loop.call_soon(self.flush)
        out.append(frame(correlation, max(0.0, deadline + self.peer_clock.offset_s), request))
        if not self._sweeping:
            self._sweeping = True
            self._swept_at = now
            self._loop.call_later(SWEEP_INTERVAL_S, self.sweep)

    def flush(self) -> None:
        """Write all requests that have not left."""
        data = b"".join(self._out)
        self._out.clear()
        transport = self.transport
        if transport is None or not data:
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._owner.lost("it does not read its requests")

    def sweep(self) -> None:
        """End the silent requests, and sweep again while any is in flight."""
        self._sweeping = False
        now = self._clock.now()
        if now - self._swept_at > OWN_STALL_S:
            # This process was paused: it has not yet read the frames that peers sent meanwhile.
            self.received_at = max(self.received_at, now)
        self._swept_at = now
        ended = []
        longest = 0.0
        for correlation, (_, sent, deadline, timeout_s) in self.waiting.items():
            waited = now - sent
            quiet = min(waited, now - self.received_at)
            longest = max(longest, quiet)
            if quiet >= timeout_s or waited >= timeout_s * HARD_TIMEOUT_FACTOR or now >= deadline:
                ended.append(correlation)
                if quiet >= timeout_s:
                    self._owner.silent()
        for correlation in ended:
            future = self.waiting.pop(correlation)[0]
            if not future.done():
                future.set_exception(Silent(f"{self._name} did not reply"))
        if longest >= PROBE_AFTER_S:
            self._owner.probe(now)
        if self.waiting and not self._sweeping:
            self._sweeping = True
            self._loop.call_later(SWEEP_INTERVAL_S, self.sweep)

    def disconnect(self) -> None:
        """Close the connection, and drop the requests that have not left."""
        transport, self.transport = self.transport, None
        self.peer_clock.reset()
        self._out.clear()
        if transport is not None:
            transport.abort()

    def end(self, reason: Silent) -> None:
        """End every request in flight."""
        waiting, self.waiting = self.waiting, {}
        for future, *_ in waiting.values():
            if not future.done():
                future.set_exception(reason)
                # A caller that has given up does not read the exception; asyncio would log it.
                future.exception()

    def __repr__(self) -> str:
        return f"<InFlight {len(self.waiting)} requests to {self._name}>"
