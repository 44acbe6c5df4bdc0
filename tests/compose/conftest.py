"""Fixtures of the container tests: engine, images, cluster."""

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.stack import FIVE, PROJECT, Stack, docker

_CONTAINERS = ("gateway", "gateway-1", *(f"db-{number}" for number in range(5)))
"""The names that the compose files give to containers."""


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """Reserve the engine for this run. Two runs would use the same names and port."""
    with (Path(tempfile.gettempdir()) / f"{PROJECT}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for the end of another run of the container tests", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session", autouse=True)
def images(engine: None) -> None:
    """Build the images. Fail if another project has containers of the same names."""
    own = f"label=com.docker.compose.project={PROJECT}"
    names = "--format={{.Names}}"
    others = set(docker("ps", "-a", names).split())
    others -= set(docker("ps", "-a", names, "--filter", own).split())
    taken = sorted(others & set(_CONTAINERS))
    assert not taken, (
        f"containers of another project are named {', '.join(taken)}; the tests changed nothing."
        " Run `docker-compose down` in that project, then start the tests again"
    )
    Stack(FIVE).down()
    # One service of each kind; the other services use the same images.
    Stack(FIVE).compose("build", "gateway", "db-0")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Start three nodes and a gateway for one file of tests."""
    with Stack() as stack:
        yield stack
