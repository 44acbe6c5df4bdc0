"""What tests of every kind may ask for."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cluster import Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Cluster]":
    """A real cluster of three nodes, for tests that leave it whole."""
    from tests.cluster import Cluster

    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster_url(request: pytest.FixtureRequest) -> str:
    """A gateway's URL: of the running system that DDB_URL names, or of that cluster."""
    running = os.environ.get("DDB_URL")
    if running:
        return running.rstrip("/")
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.url
