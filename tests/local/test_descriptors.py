"""A cluster of processes with few file descriptors, and callers that use as many as they get."""

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ddb.ring.ring import Ring
from ddb.runtime.descriptors import STRANGER_CONNECTIONS
from ddb.wire.connection_limits import IDLE_TIMEOUT_S, SILENT_S, STRANGER_TIMEOUT_S
from tests.cluster import Cluster, wait_for
from tests.http.client import Client
from tests.system.peer import Peer

DESCRIPTORS = 128
STRANGERS = 300
HALF_OPEN = 60
CLIENTS = 200
GREEDY_EVERY_S = 0.005
NAMES = ("db-0", "db-1", "db-2")
USER = {"id": "ada", "name": "Ada", "email": "ada@example.com", "group": 0}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes and a gateway, each with at most 128 descriptors."""
    with Cluster(tmp_path, descriptors=DESCRIPTORS) as cluster:
        assert cluster.request("POST", "/api/users/", USER)[0] == 201
        yield cluster


def opened(pid: int) -> int:
    """Return the number of open descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def ended(connections: Sequence[socket.socket]) -> int:
    """Return how many of these connections the other side has closed."""
    count = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            count += not connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        except ConnectionError:
            count += 1
    return count


def works(cluster: Cluster) -> bool:
    """Return whether twenty changes and twenty reads all succeed."""
    paths = ["/api/users/ada"] * 20
    changed = [cluster.request("PUT", path, {"group": 1})[0] for path in paths]
    return {*changed, *(cluster.request("GET", path)[0] for path in paths)} == {200}


def lines(cluster: Cluster, name: str, part: str) -> list[str]:
    """Return the lines of a process's log that contain the text."""
    log = (cluster.data / f"{name}.log").read_text(encoding="utf-8")
    return [line for line in log.splitlines() if part in line]


def test_silent_strangers_at_a_node(small: Cluster) -> None:
    """A node closes silent strangers, logs one line, and keeps its own descriptors."""
    pids = small.pids()
    with contextlib.ExitStack() as stack:
        strangers = []
        for _ in range(STRANGERS):
            with contextlib.suppress(TimeoutError, ConnectionError):
                near = socket.create_connection(("127.0.0.1", small.port + 2), 2)
                strangers.append(stack.enter_context(near))
        assert len(strangers) == STRANGERS
        assert wait_for(lambda: ended(strangers) >= STRANGERS - STRANGER_CONNECTIONS, 5)
        assert works(small)
        assert wait_for(lambda: ended(strangers) == STRANGERS, STRANGER_TIMEOUT_S + 5)
        small.do("stop", "db-0")
        small.do("start", "db-0")
        assert wait_for(lambda: small.node("db-0")["state"] == "up", 10)
        assert works(small)
    assert small.pids() | {"db-0": 0} == pids | {"db-0": 0}
    assert len(lines(small, "db-1", "too many connections without a Hello")) == 1
    assert len(lines(small, "db-1", "no Hello within")) == 1


def test_half_open_callers_of_a_node(small: Cluster) -> None:
    """New callers replace half-open ones, and the node closes the half-open ones in time."""
    ring = Ring(NAMES)
    with contextlib.ExitStack() as stack:
        vanished = []
        for _ in range(HALF_OPEN):
            with contextlib.suppress(ConnectionError, TimeoutError):
                vanished.append(stack.enter_context(Peer(small.port + 2, ring)).socket)
        time.sleep(SILENT_S)
        for name in ("gateway", "db-0"):
            small.do("stop", name)
            small.do("start", name)
        assert wait_for(lambda: small.node("db-1")["state"] == "up", 10)
        small.do("stop", "db-2")
        # Each change now needs db-1, and the two others have new connections to it.
        assert wait_for(lambda: works(small), 10)
        assert opened(small.pids()["db-1"]) < DESCRIPTORS
        assert wait_for(lambda: ended(vanished) == len(vanished), IDLE_TIMEOUT_S + 5)
        assert works(small)


def test_clients_take_no_descriptor_of_a_gateways_links(small: Cluster) -> None:
    """A gateway with more clients than descriptors reconnects to every restarted node."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(CLIENTS):
            client = stack.enter_context(Client(small.url, 5))
            client.connect()
            clients.append(client)
        served = [client for client in clients if status(client) == 200]
        assert DESCRIPTORS // 2 < len(served) < DESCRIPTORS
        stack.enter_context(greedy(small.port))
        for name in NAMES:
            small.do("stop", name)
            time.sleep(1.0)
            small.do("start", name)
            assert wait_for(lambda: status(served[0]) == 200, 10)
        time.sleep(1.0)
        assert {status(client) for client in served} == {200}
    assert len(lines(small, "gateway", "closes a new client connection")) == 1


@contextlib.contextmanager
def greedy(port: int) -> Iterator[None]:
    """Connect continuously and keep each connection, to take every freed descriptor."""
    done = threading.Event()
    kept: list[socket.socket] = []

    def connect() -> None:
        while not done.wait(GREEDY_EVERY_S):
            with contextlib.suppress(ConnectionError):
                near = socket.create_connection(("127.0.0.1", port), 2)
                kept.append(near)
                if ended([near]):
                    kept.pop().close()

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        for each in kept:
            each.close()


def status(client: Client) -> int:
    """Return the status of a GET on this connection, or 0 if it is closed."""
    if not client.is_connected:
        return 0
    try:
        return client.send("GET", "/api/users/ada").status
    except (OSError, http.client.HTTPException):
        return 0


def test_too_few_descriptors_stop_the_start(tmp_path: Path) -> None:
    """A node with too few descriptors refuses to start and names the number it needs."""
    cluster = Cluster(tmp_path, descriptors=64)
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.stop)
        cluster.launch()
        assert wait_for(lambda: not cluster.running, 30)
    assert "the limit of 64 file descriptors is too low" in cluster.output
    assert "No data is affected. Allow at least" in cluster.output
    assert cluster.stop() == 1
