"""What an operation costs does not grow with the cluster."""

from pathlib import Path

import pytest

from tests.cluster import Cluster, wait_for
from tests.system.batch import PATH, Call, create, send, user
from tests.system.homes import Homes

RECORDS = 60


@pytest.mark.parametrize("nodes", [3, 5, 9])
def test_two_nodes_are_contacted_per_operation(tmp_path: Path, nodes: int) -> None:
    """With no fault every read, write and refusal takes two requests, however many nodes."""
    with Cluster(tmp_path, nodes) as cluster:
        assert wait_for(Homes(cluster).settled, 20)
        assert wait_for(lambda: cluster.request("GET", "/readyz")[0] == 200, 10)
        ids = [f"cost-{number}" for number in range(RECORDS)]
        rounds = [
            (create(ids), 201),
            (create(ids), 409),
            ([Call("GET", PATH + each) for each in ids], 200),
            ([Call("PUT", PATH, {"id": each, "group": 7}) for each in ids], 200),
            ([Call("DELETE", PATH + each) for each in ids], 204),
            ([Call("GET", PATH + each) for each in ids], 404),
            ([Call("PUT", PATH, user(each)) for each in ids], 404),
            ([Call("DELETE", PATH + each) for each in ids], 404),
        ]
        for calls, status in rounds:
            answers = send(cluster, calls)
            assert [answer and answer.status for answer in answers] == [status] * RECORDS
        status_now = cluster.status()
        gateway = status_now["gateway"]
        assert isinstance(gateway, dict)
        print(f"{nodes} nodes: {status_now['requests_per_operation']} requests per operation")
        assert gateway["counters"]["operations"] == RECORDS * len(rounds)
        # A machine that stands still for a moment may make for a second attempt or two.
        assert status_now["requests_per_operation"] == pytest.approx(2.0, abs=0.05)
