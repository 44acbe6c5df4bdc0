"""The cap on client connections: descriptors are left for the links to the nodes.

At its limit of descriptors a gateway could not reconnect to a node that restarts, and would answer
503 with every node up. So it closes further connections before it reads a request from them.
"""

import asyncio
import logging

from ddb.runtime.log_limit import cause

log = logging.getLogger(__name__)


class ConnectionCap:
    """Closes connections beyond a limit."""

    def __init__(self, limit: int) -> None:
        """`limit`: the most client connections at once."""
        self.limit = limit

    def refuse(self, transport: asyncio.Transport) -> None:
        """Close a new connection; the log line is bounded by its cause."""
        log.warning(
            "closing a new client connection: all %d that the limit of file descriptors allows"
            " are open. No request was read from it. Raise the limit (`ulimit -n`), or run"
            " another gateway",
            self.limit,
            extra=cause("client connection limit"),
        )
        transport.abort()

    def __repr__(self) -> str:
        return f"<ConnectionCap {self.limit}>"
