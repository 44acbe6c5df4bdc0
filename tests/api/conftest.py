"""What the acceptance tests need: one connection to the system, and order afterwards."""

from collections.abc import Generator, Iterator

import pytest

from tests.api.client import Api, Undecided

TRIES = 5

repeated: list[str] = []
"""The tests that were done again."""


@pytest.fixture
def api(cluster_url: str) -> Iterator[Api]:
    """The API of the system under test."""
    api = Api(cluster_url)
    yield api
    api.clean_up()


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
