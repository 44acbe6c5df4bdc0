"""One build for all tests here, of the tree as it is."""

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.stack import FIVE, PROJECT, Stack, docker

_TAKEN = ("gateway", "gateway-1", *(f"db-{number}" for number in range(5)))


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """This machine's engine, for one run of these tests at a time: they share names and a port."""
    with (Path(tempfile.gettempdir()) / f"{PROJECT}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another run of these tests to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session", autouse=True)
def images(engine: None) -> None:
    """The images, built; and no container of somebody else's in the way."""
    mine = f"label=com.docker.compose.project={PROJECT}"
    names = "--format={{.Names}}"
    others = set(docker("ps", "-a", names).split())
    others -= set(docker("ps", "-a", names, "--filter", mine).split())
    assert not others & set(_TAKEN), (
        f"containers named {', '.join(sorted(others & set(_TAKEN)))} are there already:"
        " `docker-compose down` where they belong, and start the tests again"
    )
    Stack(FIVE).down()
    # One service of each kind: the others are of the same images.
    Stack(FIVE).compose("build", "gateway", "db-0")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Three nodes and a gateway, new for each file of tests."""
    with Stack() as stack:
        yield stack
