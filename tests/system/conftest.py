"""Clusters for tests of the whole system: one for each module that asks for one."""

from collections.abc import Iterator

import pytest

from ddb.local.child import ProcessState
from ddb.local.control import Request, ask
from tests.cluster import Cluster, wait_for
from tests.system.homes import Homes


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, for tests that break them and put them together again."""
    with Cluster(tmp_path_factory.mktemp("trio")) as cluster:
        assert wait_for(Homes(cluster).settled, 20)
        yield cluster


@pytest.fixture
def whole(trio: Cluster, homes: Homes) -> Iterator[Cluster]:
    """The three nodes, all up before the test and, whatever it did to them, after it."""
    restore(trio)
    assert wait_for(homes.settled, 20)
    yield trio
    restore(trio)


def restore(cluster: Cluster) -> None:
    """Start or wake up whatever does not run."""
    for name, found in ask(cluster.data, Request("list")).processes.items():
        if found.process == ProcessState.PAUSED.value:
            cluster.do("resume", name)
        elif found.process == ProcessState.STOPPED.value:
            cluster.do("start", name)


@pytest.fixture(scope="module")
def homes(trio: Cluster) -> Homes:
    """A look at what they hold."""
    return Homes(trio)
