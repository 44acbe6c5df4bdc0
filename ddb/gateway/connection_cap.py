"""The cap on client connections: descriptors are left for the links to the nodes.

At its limit of descriptors a gateway could not reconnect to a node that restarts, and would answer
503 with every node up. So further clients get a 503, which says that nothing was changed.
"""

import asyncio
import logging
from collections.abc import Callable

from ddb.gateway.errors import Error, Refused
from ddb.gateway.records import Applied
from ddb.gateway.response import Headers, refusal

log = logging.getLogger(__name__)

LOG_EVERY_S = 60.0
"""Too low: a flood of clients fills the log. Too high: an operator misses the cap."""
LINGER_S = 1.0
"""Time to read the refusal. Too low: the close resets it. Too high: as `MOST_LINGERING`."""
MOST_LINGERING = 64
"""Refused connections that are still open, at most: they hold descriptors of the reserve.

Too low: clients see a reset and no answer. Too high: the links to the nodes lack descriptors.
"""


class ConnectionCap:
    """Refuses connections beyond a limit."""

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        """`limit`: the most connections at once; `now`: monotonic seconds."""
        self.limit = limit
        self._now = now
        self._logged_at = -LOG_EVERY_S
        self._lingering = 0

    def refuse(self, transport: asyncio.Transport, common: Headers) -> None:
        """Answer 503 and close; `common`: headers of every response."""
        now = self._now()
        if now - self._logged_at >= LOG_EVERY_S:
            self._logged_at = now
            log.warning(
                "%d client connections are open, as many as the limit of file descriptors allows;"
                " further clients get 503. Raise the limit (ulimit -n), or run another gateway",
                self.limit,
            )
        if self._lingering >= MOST_LINGERING:
            transport.abort()
            return
        self._lingering += 1
        transport.set_protocol(_Refused(self._closed))
        transport.write(refusal(_full()).encode(common, keep_alive=False))
        transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, transport.abort)

    def _closed(self) -> None:
        self._lingering -= 1

    def __repr__(self) -> str:
        return f"<ConnectionCap {self.limit}, {self._lingering} refused still open>"


class _Refused(asyncio.Protocol):
    """Discards what a refused client sends until its connection ends."""

    def __init__(self, closed: Callable[[], None]) -> None:
        self._closed = closed

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        del exc
        self._closed()


def _full() -> Refused:
    return Refused(
        Error.UNAVAILABLE,
        "This gateway has as many connections as it can; nothing was changed; connect again later,"
        " or to another gateway",
        applied=Applied.NO,
    )
