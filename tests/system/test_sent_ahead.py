"""A caller that does not wait for the answer to its Hello."""

import socket

from ddb.ring.ring import Ring
from ddb.wire.frames import FrameReader, frame
from ddb.wire.messages import PROTOCOL, Digests, GetDigests, Hello, Reply, Welcome
from tests.cluster import Cluster
from tests.system.peer import FAR, TIMEOUT


def test_requests_behind_a_hello_are_answered(cluster: Cluster) -> None:
    """A node answers a request that arrives together with the Hello, after the Welcome."""
    ring = Ring(tuple(f"db-{number}" for number in range(cluster.nodes)))
    hello = Hello(PROTOCOL, ring.digest, "a test", 0)
    with socket.create_connection(("127.0.0.1", cluster.port + 1), TIMEOUT) as caller:
        caller.sendall(frame(1, FAR, hello) + frame(2, FAR, GetDigests()))
        frames: FrameReader[Reply] = FrameReader(Reply)
        replies: list[Reply] = []
        while len(replies) < 2 and (data := caller.recv(1 << 20)):
            replies += [reply for _, _, reply in frames.feed(data)]
    assert [type(reply) for reply in replies] == [Welcome, Digests]
