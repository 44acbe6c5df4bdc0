"""The requests per operation do not grow with the cluster."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import Cluster, wait_for
from tests.http.retries import RETRIES
from tests.system.batch import PATH, Call, create, send, succeed, user
from tests.system.homes import Homes

pytestmark = pytest.mark.alone

RECORDS = 60
ATTEMPTS = 3
TWO = 2.0
GOSSIP_S = 0.5
"""Seconds in which each node sends ten commit notices to each peer."""

Round = tuple[str, list[Call], int]
"""A name, one call per record, and the status of each answer."""


@pytest.mark.parametrize("nodes", [3, 5, 9])
def test_two_nodes_are_contacted_per_operation(tmp_path: Path, nodes: int) -> None:
    """Without faults each operation takes two requests, in clusters of any size."""
    with Cluster(tmp_path, nodes) as cluster:
        assert wait_for(Homes(cluster).settled, 20)
        assert wait_for(lambda: cluster.request("GET", "/readyz")[0] == 200, 10)
        least = least_of(cluster, lambda attempt: rounds(f"cost-{attempt}"))
        print(f"{nodes} nodes: {least}")
        assert least == dict.fromkeys(least, TWO)


def test_two_nodes_are_contacted_per_operation_while_a_third_is_down(tmp_path: Path) -> None:
    """With a home down each operation takes two requests, old records included."""
    with Cluster(tmp_path) as cluster:
        homes = Homes(cluster)
        assert wait_for(homes.settled, 20)
        old = [[f"old-{attempt}-{number}" for number in range(RECORDS)] for attempt in range(3)]
        for ids in old:
            succeed(cluster, create(ids))
        time.sleep(GOSSIP_S)
        cluster.do("kill", "db-0")
        assert wait_for(lambda: counts_as_down(cluster, "db-0"), 10)
        least = least_of(
            cluster, lambda attempt: [*of_old(old[attempt]), *rounds(f"cost-{attempt}")]
        )
        print(f"a node down: {least}")
        assert least == dict.fromkeys(least, TWO)


def counts_as_down(cluster: Cluster, name: str) -> bool:
    """Whether the gateway counts a node as down."""
    gateway = cluster.status()["gateway"]
    assert isinstance(gateway, dict)
    return bool(gateway["nodes"][name]["state"] == "down")


def least_of(cluster: Cluster, kinds: Callable[[int], list[Round]]) -> dict[str, float]:
    """Return the least requests per operation of each kind, over `ATTEMPTS` attempts.

    A machine that stalls for longer than a timeout causes retries. The least of some attempts
    excludes them. An attempt ends at its first 503, since later requests depend on that one.
    """
    least: dict[str, float] = {}
    for attempt in range(ATTEMPTS):
        before = spent(cluster)
        for kind, calls, status in kinds(attempt):
            statuses = [answer and answer.status for answer in send(cluster, calls)]
            RETRIES.add(RECORDS, statuses.count(503))
            if 503 in statuses:
                break
            assert statuses == [status] * RECORDS, kind
            after = spent(cluster)
            assert after.operations - before.operations == RECORDS, kind
            each = (after.requests - before.requests) / RECORDS
            least[kind] = min(least.get(kind, each), each)
            before = after
        else:
            if max(least.values()) <= TWO:
                break
    assert len(least) == len(kinds(0)), "no attempt was free of 503s"
    return least


def of_old(ids: list[str]) -> list[Round]:
    """Return the operations on records from before the node stopped."""
    return [
        ("read an old one", [Call("GET", PATH + each) for each in ids], 200),
        ("update an old one", [Call("PUT", PATH, {"id": each, "group": 7}) for each in ids], 200),
        ("read it again", [Call("GET", PATH + each) for each in ids], 200),
        ("delete it", [Call("DELETE", PATH + each) for each in ids], 204),
    ]


def rounds(prefix: str) -> list[Round]:
    """Return the operations on new records."""
    ids = [f"{prefix}-{number}" for number in range(RECORDS)]
    get = [Call("GET", PATH + each) for each in ids]
    delete = [Call("DELETE", PATH + each) for each in ids]
    return [
        ("create", create(ids), 201),
        ("create what exists", create(ids), 409),
        ("read", get, 200),
        ("update", [Call("PUT", PATH, {"id": each, "group": 7}) for each in ids], 200),
        ("delete", delete, 204),
        ("read nothing", get, 404),
        ("update nothing", [Call("PUT", PATH, user(each)) for each in ids], 404),
        ("delete nothing", delete, 404),
    ]


@dataclass(frozen=True, slots=True)
class Spent:
    """Operations on single records so far, and their requests to nodes."""

    operations: int
    requests: int


def spent(cluster: Cluster) -> Spent:
    """Sum the counters of the gateway and of every node."""
    status = cluster.status()
    gateway, nodes = status["gateway"], status["nodes"]
    assert isinstance(gateway, dict)
    assert isinstance(nodes, list)
    return Spent(
        gateway["counters"]["operations"],
        gateway["counters"]["node_requests"]
        + sum(node["counters"].get("peer_requests", 0) for node in nodes),
    )
