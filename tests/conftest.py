"""Fixtures for all tests, and the retry of undecided requests."""

import os
import signal
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.api.client import Undecided

if TYPE_CHECKING:
    from tests.cluster import Cluster


# Also under nohup, the processes that tests start must receive SIGHUP.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

TRIES = 5
"""Runs of one test. Too low: fails on a busy machine. Too high: hides constant 503s."""

repeated: list[str] = []
"""The tests that ran more than once."""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Cluster]":
    """A real cluster of three nodes, for tests that do not damage it."""
    from tests.cluster import Cluster

    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster_url(request: pytest.FixtureRequest) -> str:
    """The URL of the gateway that DDB_URL names, or of `cluster`."""
    running = os.environ.get("DDB_URL")
    if running:
        return running.rstrip("/")
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.url


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Repeat a test that got a 503 from a busy system: the 503 is correct but decides nothing."""
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
    """Report the tests that ran again after a 503."""
    if repeated:
        terminalreporter.write_line(f"repeated after a 503: {len(repeated)}, {repeated[:5]}")
