"""deploy/swarm.yml on a swarm of one machine."""

from collections.abc import Iterator

import pytest

from tests.cluster import ROOT, wait_for
from tests.compose.stack import docker, fetch, insist, user

STACK = "ddb-test"
VERDICT = "READY: all 3 nodes decide; one more may fail"
READY = (200, {"verdict": VERDICT, "ready": True})
START_TIMEOUT_S = 90.0
"""Time for a service to start. Lower: a busy machine fails the test."""


@pytest.fixture(scope="module")
def swarm(images: None) -> Iterator[None]:
    """Deploy the stack. Afterwards the engine leaves the swarm, unless it had joined before."""
    joined = docker("info", "-f", "{{.Swarm.LocalNodeState}}").strip() == "active"
    if not joined:
        docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    try:
        docker("stack", "deploy", "-c", str(ROOT / "deploy" / "swarm.yml"), STACK)
        yield
    finally:
        docker("stack", "rm", STACK)
        assert wait_for(lambda: not _containers(""), 60)
        for volume in docker("volume", "ls", "-q", "-f", f"name={STACK}_").split():
            assert wait_for(lambda name=volume: _removed(name), 20)  # type: ignore[misc]
        if not joined:
            docker("swarm", "leave", "--force")


@pytest.mark.timeout(300)
def test_swarm(swarm: None) -> None:
    """The stack starts, answers during the loss of a node, and the engine replaces that node."""
    assert wait_for(lambda: fetch("GET", "/readyz") == READY, START_TIMEOUT_S), _tasks()
    assert wait_for(lambda: _state().count("none") == 3, START_TIMEOUT_S), _state()
    assert insist("POST", "/api/users/", user("kept")) == (201, user("kept"))
    (victim,) = _containers("db-1")
    docker("kill", "-s", "KILL", victim)
    for number in range(20):
        assert insist("POST", "/api/users/", user(f"meanwhile-{number}"))[0] == 201
    assert insist("GET", "/api/users/kept") == (200, user("kept"))
    assert wait_for(lambda: _containers("db-1") not in ([], [victim]), START_TIMEOUT_S), _tasks()
    assert wait_for(lambda: _state().count("none") == 3, START_TIMEOUT_S), _state()
    print(_state())


def _containers(service: str) -> list[str]:
    return docker("ps", "-q", "--filter", f"name={STACK}_{service}").split()


def _state() -> str:
    gateways = _containers("gateway")
    return docker("exec", gateways[0], "ddb", "status") if gateways else ""


def _tasks() -> str:
    return docker("stack", "ps", STACK, "--no-trunc")


def _removed(volume: str) -> bool:
    docker("volume", "rm", volume, check=False)
    return not docker("volume", "ls", "-q", "-f", f"name=^{volume}$").strip()
