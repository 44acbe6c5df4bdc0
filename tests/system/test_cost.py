"""What an operation costs does not grow with the cluster."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import Cluster, wait_for
from tests.system.batch import PATH, Call, create, send, user
from tests.system.homes import Homes

RECORDS = 60
ATTEMPTS = 3
TWO = 2.0


@pytest.mark.parametrize("nodes", [3, 5, 9])
def test_two_nodes_are_contacted_per_operation(tmp_path: Path, nodes: int) -> None:
    """With no fault every read, write and refusal takes two requests, however many nodes."""
    with Cluster(tmp_path, nodes) as cluster:
        assert wait_for(Homes(cluster).settled, 20)
        assert wait_for(lambda: cluster.request("GET", "/readyz")[0] == 200, 10)
        least: dict[str, float] = {}
        before = spent(cluster)
        for attempt in range(ATTEMPTS):
            for kind, calls, status in rounds(f"cost-{attempt}"):
                answers = send(cluster, calls)
                assert [answer and answer.status for answer in answers] == [status] * RECORDS
                after = spent(cluster)
                assert after.operations - before.operations == RECORDS
                each = (after.requests - before.requests) / RECORDS
                least[kind] = min(least.get(kind, each), each)
                before = after
            if max(least.values()) <= TWO:
                break
        print(f"{nodes} nodes: {least}")
        # A machine that stands still for longer than a node is waited for makes for second
        # attempts, so the least of some is taken: what an operation needs it needs in all of them.
        assert least == dict.fromkeys(least, TWO)


def rounds(prefix: str) -> list[tuple[str, list[Call], int]]:
    """(What is done, the same to each of RECORDS records, the status that each answers)."""
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
    """Operations on single records, and the requests to nodes that they took, so far."""

    operations: int
    requests: int


def spent(cluster: Cluster) -> Spent:
    """From the counters of the gateway and of every node."""
    status = cluster.status()
    gateway, nodes = status["gateway"], status["nodes"]
    assert isinstance(gateway, dict)
    assert isinstance(nodes, list)
    return Spent(
        gateway["counters"]["operations"],
        gateway["counters"]["node_requests"]
        + sum(node["counters"]["peer_requests"] for node in nodes),
    )
