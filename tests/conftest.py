"""Fixtures for all tests, and the retry of undecided requests."""

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.http.retries import RETRIES, Undecided

if TYPE_CHECKING:
    from tests.cluster import Cluster


# Also under nohup, the processes that tests start must receive SIGHUP.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

TRIES = 5
"""Runs of one test. Too low: fails on a busy machine. Too high: hides constant 503s."""

ORDER = ("sim", "system", "local", "api", "gateway", "node")
"""The directories with the longest files, which start first. Otherwise one worker ends later."""

repeated: list[str] = []
"""The tests that ran more than once."""


class Worker(Protocol):
    """A worker of pytest-xdist, as its controller has it."""

    workeroutput: dict[str, tuple[int, int]]


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of tests that a busy machine would disturb."""
    config.addinivalue_line("markers", "alone: counts or measures, so it runs without other tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by directory, as `ORDER` says; the order within a directory stays."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        parts = item.path.relative_to(here).parts if item.path.is_relative_to(here) else ("",)
        return ORDER.index(parts[0]) if parts[0] in ORDER else len(ORDER)

    items.sort(key=rank)


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


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Worker) -> None:
    """Add the retries of a worker that has ended to those of this process."""
    RETRIES.add(*getattr(node, "workeroutput", {}).get("retries", (0, 0)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if too many requests got a 503; a worker only reports its count."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["retries"] = RETRIES.requests, RETRIES.undecided
    elif RETRIES.too_many() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the requests and the tests that ran again after a 503."""
    if RETRIES.undecided:
        verdict = "too many, so the run fails" if RETRIES.too_many() else "few enough"
        terminalreporter.write_line(
            f"503 where a test needs a decision: {RETRIES.undecided} of {RETRIES.requests}"
            f" requests, {verdict}"
        )
    if repeated:
        terminalreporter.write_line(f"repeated after a 503: {len(repeated)}, {repeated[:5]}")
