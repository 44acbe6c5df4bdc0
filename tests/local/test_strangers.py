"""Strangers at a node's port: garbage, oversized frames, silence."""

import random
import re
import socket
import threading
import time

import pytest

from ddb.wire.frames import MAX_FRAME_BYTES, frame
from ddb.wire.messages import PROTOCOL, Hello, Ping
from tests.cluster import Cluster, wait_for
from tests.http.client import Client
from tests.http.retries import RETRIES, Undecided

HELLO = frame(1, 0.0, Hello(PROTOCOL, b"", "a stranger", 0))
USERS = 20
MORE = 10
RNG = random.Random(2)

STRANGERS = {
    "garbage": RNG.randbytes(100_000),
    "zeros": b"\0" * 64,
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + RNG.randbytes(200),
    "a length beyond all bounds": b"\xff" * 16,
    "a length just too large": (MAX_FRAME_BYTES + 1).to_bytes(4, "big") + b"\0" * 12,
    "an empty frame": b"\0\0\0\0" + b"\0" * 12,
    "a frame of nonsense": b"\0\0\0\x20" + b"\xc1" * 32,
    "a message with a foreign tag": b"\0\0\0\x0e" + b"\0" * 12 + b"\x91\x7f",
    "a message before any greeting": frame(1, time.monotonic() + 1e6, Ping()),
    "the greeting of another ring": HELLO,
    "the greeting of another protocol": frame(1, 0.0, Hello(99, b"", "a stranger", 0)),
    "nesting without end": (4096 + 12).to_bytes(4, "big") + b"\0" * 12 + b"\x91" * 4096,
}


def closed_by(port: int, sent: bytes) -> bool:
    """Send bytes to a node; return whether it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), 10) as stranger:
        try:
            stranger.sendall(sent)
            while stranger.recv(65_536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
    return True


class Traffic:
    """A client that updates records in a thread until the context ends."""

    def __init__(self, cluster: Cluster) -> None:
        self.statuses: list[int] = []
        self._cluster = cluster
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        number = 0
        with Client(self._cluster.url) as client:
            while not self._done.is_set():
                number += 1
                path = f"/api/users/traffic-{number % USERS}"
                self.statuses.append(client.send("PUT", path, {"group": number}).status)

    def continues(self) -> None:
        """Check that all requests so far, and `MORE` further ones, succeed."""
        enough = len(self.statuses) + MORE
        assert wait_for(lambda: len(self.statuses) >= enough, 20)
        RETRIES.add(len(self.statuses), self.statuses.count(503))
        if 503 in self.statuses:
            raise Undecided("a request was not decided in time")
        assert set(self.statuses) == {200}

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@pytest.fixture(scope="module")
def busy(cluster: Cluster) -> Cluster:
    """The cluster, with the users that `Traffic` updates."""
    with Client(cluster.url) as client:
        for number in range(USERS):
            user = {"id": f"traffic-{number}", "name": "A", "email": "a@b.co", "group": 0}
            assert client.call("POST", "/api/users/", user).status == 201
    return cluster


def cut_by_nodes(cluster: Cluster) -> set[str]:
    """Return the peers whose connections the nodes have closed, from the logs."""
    logs = "".join(log.read_text(encoding="utf-8") for log in cluster.data.glob("db-*.log"))
    return set(re.findall(r"closing the connection from (.+?): ", logs))


@pytest.mark.parametrize("sent", STRANGERS.values(), ids=STRANGERS.keys())
def test_stranger_at_a_nodes_port(busy: Cluster, sent: bytes) -> None:
    """A node closes a connection with invalid bytes, closes no other, and loses no request."""
    pids = busy.pids()
    with Traffic(busy) as traffic:
        for number in range(3):
            assert closed_by(busy.port + 1 + number, sent)
        traffic.continues()
    assert cut_by_nodes(busy) <= {"a stranger"}
    assert busy.pids() == pids


def test_frame_that_never_ends(busy: Cluster) -> None:
    """A frame that never arrives in full delays no other connection."""
    with socket.create_connection(("127.0.0.1", busy.port + 1), 10) as stranger:
        stranger.sendall(MAX_FRAME_BYTES.to_bytes(4, "big") + b"\0" * 1000)
        with Traffic(busy) as traffic:
            traffic.continues()


def test_many_silent_connections(busy: Cluster) -> None:
    """A hundred silent connections delay no other connection."""
    silent = [socket.create_connection(("127.0.0.1", busy.port + 2), 10) for _ in range(100)]
    try:
        with Traffic(busy) as traffic:
            traffic.continues()
    finally:
        for each in silent:
            each.close()
