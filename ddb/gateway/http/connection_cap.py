"""The cap on client connections, which leaves file descriptors for links to nodes.

A gateway without a free descriptor cannot reconnect to a node that restarts. It then answers 503
although each node is up. So the gateway closes surplus connections before it reads a request.
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
        """Close a new connection, and log it; the log limit bounds the lines of one cause."""
        log.warning(
            "the gateway closes a new client connection: %d are open, and the limit of file"
            " descriptors allows no more. It read no request from the connection, so no data"
            " changed. Raise the limit (`ulimit -n`), or run another gateway",
            self.limit,
            extra=cause("client connection limit"),
        )
        transport.abort()

    def __repr__(self) -> str:
        return f"<ConnectionCap {self.limit}>"
