"""More clients than the cluster can serve, on real processes."""

import asyncio
from pathlib import Path

import pytest

from bench.overload import WORKLOADS, Seen, filled, loaded
from tests.cluster import Cluster

pytestmark = pytest.mark.alone

SECONDS = 3.0
HOST = "127.0.0.1"
STALLS = 0.02
"""Share of answers that may be uncertain, because a busy machine stalls during changes."""


def measured(cluster: Cluster, workload: str, clients: int) -> dict[str, Seen]:
    """Return the answers per kind of client."""
    return asyncio.run(loaded(HOST, cluster.port, SECONDS, WORKLOADS[workload](clients)))


def test_overload_costs_neither_throughput_nor_certainty(tmp_path: Path) -> None:
    """Beyond saturation, throughput stays, and each refusal states that nothing was done."""
    with Cluster(tmp_path) as cluster:
        asyncio.run(filled(HOST, cluster.port))
        few = measured(cluster, "hot PUT", 32)["PUT"]
        many = measured(cluster, "hot PUT", 1000)["PUT"]
        assert len(many.good) > 0.4 * len(few.good)
        assert many.statuses["no"] > 0
        assert many.statuses["unknown"] <= STALLS * many.statuses.total()
        assert sorted(many.good)[len(many.good) * 9 // 10] < 0.4


def test_scans_starve_no_client(tmp_path: Path) -> None:
    """During endless large pages nearly every GET succeeds, and some pages too."""
    with Cluster(tmp_path) as cluster:
        asyncio.run(filled(HOST, cluster.port))
        seen = measured(cluster, "LIST with GET", 16)
        gets, pages = seen["GET"], seen["LIST"]
        assert gets.statuses["good"] > 0.9 * gets.statuses.total()
        assert pages.statuses["good"] > 0
