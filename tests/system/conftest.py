"""Clusters for tests of the whole system, one per module."""

from collections.abc import Iterator

import pytest

from ddb.local.child import ProcessState
from ddb.local.control import Request, ask
from tests.cluster import Cluster, wait_for
from tests.system.homes import Homes


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, for tests that stop and restart them."""
    with Cluster(tmp_path_factory.mktemp("trio")) as cluster:
        assert wait_for(Homes(cluster).settled, 20)
        yield cluster


@pytest.fixture
def whole(trio: Cluster, homes: Homes) -> Iterator[Cluster]:
    """The three nodes; all are up before and after each test."""
    restore(trio)
    assert wait_for(homes.settled, 20)
    yield trio
    restore(trio)


def restore(cluster: Cluster) -> None:
    """Start each stopped node and resume each paused one."""
    for name, found in ask(cluster.data, Request("list")).processes.items():
        if found.process == ProcessState.PAUSED.value:
            cluster.do("resume", name)
        elif found.process == ProcessState.STOPPED.value:
            cluster.do("start", name)


@pytest.fixture(scope="module")
def homes(trio: Cluster) -> Homes:
    """Reads the copies of the three nodes."""
    return Homes(trio)
