"""A caller of one node: the wire protocol over a blocking socket."""

import socket
from typing import Self

from ddb.ring.ring import Ring
from ddb.wire.frames import FrameReader, frame
from ddb.wire.messages import PROTOCOL, Boot, Hello, Reply, Request, Welcome

FAR = 2.0**40
"""Seconds on the node's clock: a deadline that never passes."""
TIMEOUT = 5.0
NODE_ID = 1
"""Node id in the ballots that a test proposes."""


class Peer:
    """A connection to the node on `port`, after the Hello of a peer in `ring`."""

    def __init__(
        self, port: int, ring: Ring, node_id: int = NODE_ID, *, host: str = "127.0.0.1"
    ) -> None:
        """Connect and greet. Raises `OSError` where no process listens or the node refuses.

        Args:
            port: the port of the node.
            ring: the cells of the cluster.
            node_id: the node id in the ballots to propose.
            host: the address of the node.
        """
        self.socket = socket.create_connection((host, port), TIMEOUT)
        self._frames: FrameReader[Reply] = FrameReader(Reply)
        self._correlation = 0
        try:
            welcome = self.ask(Hello(PROTOCOL, ring.digest, "test", 0, Boot(node_id, 1, (1,), 0)))
        except OSError:
            self.close()
            raise
        assert isinstance(welcome, Welcome), welcome
        self.welcome = welcome

    def ask(self, request: Request) -> Reply:
        """Return the reply. Raises `OSError` where the connection ends or `TIMEOUT` passes."""
        self._correlation += 1
        self.socket.sendall(frame(self._correlation, FAR, request))
        while data := self.socket.recv(1 << 20):
            for correlation, _, reply in self._frames.feed(data):
                if correlation == self._correlation:
                    return reply
        raise ConnectionError("the node closed the connection")

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Peer of {self.welcome.name}>"
