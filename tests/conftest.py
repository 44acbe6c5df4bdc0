"""What tests of every kind may ask for."""

import os
import signal
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.api.client import Undecided

if TYPE_CHECKING:
    from tests.cluster import Cluster


# Where the tests themselves run under nohup, what they start must notice a SIGHUP all the same.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

TRIES = 5

repeated: list[str] = []
"""The tests that were done again."""


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


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Do a test again where the system was too busy to decide: its 503 is right, but no result."""
    try:
        return (yield)
    except Undecided:
        repeated.append(pyfuncitem.nodeid)
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    for _ in range(TRIES - 2):
        try:
            pyfuncitem.obj(**arguments)
        except Undecided:
            continue
        return True
    pyfuncitem.obj(**arguments)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests met a system that was too busy."""
    if repeated:
        terminalreporter.write_line(f"done again after a 503: {len(repeated)}, {repeated[:5]}")
