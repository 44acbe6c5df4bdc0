"""The package itself: what runs in the containers, how, and how it starts, stops and is tested."""

import re
from functools import partial

from tests.cluster import wait_for
from tests.compose.stack import PORT, Stack, docker, fetch, inspect, timed, user

CONTAINERS = ("gateway", "db-0", "db-1", "db-2")
STOPS_WITHIN = 5.0


def test_acceptance_inside_the_gateway(stack: Stack) -> None:
    """`docker-compose exec gateway pytest` runs the API's acceptance tests, and they pass."""
    said = stack.compose("exec", "-T", "gateway", "pytest", "-q")
    assert re.search(r"^\d{3,} passed in ", said, re.MULTILINE), said
    assert "Python 3.13." in stack.compose("exec", "-T", "gateway", "python", "--version")


def test_second_build_is_cached(stack: Stack) -> None:
    """Building again what has not changed makes the same images."""
    before = [inspect(container, ".Image") for container in CONTAINERS]
    took = timed(lambda: stack.compose("build", "gateway", "db-0"))
    after = docker("inspect", "-f", "{{.Id}}", "ddb-gateway", *["ddb-db"] * 3).split()
    print(f"second build {took:.1f} s; sizes {sizes()}")
    assert after == before


def test_containers_are_confined(stack: Stack) -> None:
    """No process is root, no file system but /data and /tmp can be written, memory is limited."""
    for container in CONTAINERS:
        assert docker("exec", container, "id", "-u").strip() == "10001"
        assert inspect(container, ".HostConfig.ReadonlyRootfs") == "true"
        assert int(inspect(container, ".HostConfig.Memory")) > 0
        assert inspect(container, ".HostConfig.RestartPolicy.Name") == "unless-stopped"
        assert inspect(container, ".HostConfig.CapDrop") == "[ALL]"
        assert "init" in docker("exec", container, "cat", "/proc/1/comm")
        assert "Read-only" in docker("exec", container, "touch", "/opt/ddb/x", check=False)


def test_one_port_is_published(stack: Stack) -> None:
    """Of all containers only the gateway can be reached from outside, on one port."""
    ports = {container: inspect(container, ".HostConfig.PortBindings") for container in CONTAINERS}
    assert ports.pop("gateway") == f"map[8080/tcp:[{{ {PORT}}}]]"
    assert set(ports.values()) == {"map[]"}


def test_health_is_real(stack: Stack) -> None:
    """Every container becomes healthy; a node whose process is frozen becomes unhealthy."""
    assert wait_for(lambda: {health(each) for each in CONTAINERS} == {"healthy"}, 40)
    assert "votes and holds" in docker("exec", "db-1", "ddb", "health", "--voting")
    freeze("db-1", 19)
    try:
        said = docker("exec", "db-1", "ddb", "health", "--alive", check=False)
        assert "db-1 does not answer" in said
        assert fetch("GET", "/readyz") == (200, {"ready": True})
    finally:
        freeze("db-1", 18)


def test_status_beside_the_gateway(stack: Stack) -> None:
    """`docker-compose exec gateway ddb status` shows every node by its own word."""
    table = stack.compose("exec", "-T", "gateway", "ddb", "status")
    print(table)
    rows = [line.split() for line in table.splitlines()]
    assert [row[0] for row in rows[1:5]] == ["db-0", "db-1", "db-2", "gateway"]
    assert all(row[4] == "up" for row in rows[1:5])


def test_graceful_stop(stack: Stack) -> None:
    """Every container stops by itself within five seconds, and what was written is there again."""
    assert fetch("POST", "/api/users/", user("kept"))[0] == 201
    for container in CONTAINERS:
        took = timed(partial(stack.compose, "stop", container))
        print(f"{container} stopped in {took:.1f} s")
        assert took < STOPS_WITHIN
        assert inspect(container, ".State.ExitCode") == "0"
    stack.compose("start")
    stack.wait_ready()
    assert fetch("GET", "/api/users/kept") == (200, user("kept"))


def test_port_is_changed_in_one_place(stack: Stack) -> None:
    """PORT moves the gateway, and nothing else needs to know."""
    stack.compose("up", "-d", PORT="8079")
    stack.wait_ready(8079)
    assert fetch("GET", "/api/users/kept", port=8079)[0] == 200
    stack.compose("up", "-d")
    stack.wait_ready()


def health(container: str) -> str:
    """The engine's verdict."""
    return inspect(container, ".State.Health.Status")


def freeze(container: str, number: int) -> None:
    """Send a signal to the process under the container's init."""
    code = f"import os; os.kill(int(open('/proc/1/task/1/children').read()), {number})"
    docker("exec", container, "python", "-c", code)


def sizes() -> str:
    """Of the images, for people."""
    images = docker("images", "--format", "{{.Repository}} {{.Size}}").splitlines()
    return ", ".join(sorted(image for image in images if image.startswith(("ddb-", "python "))))
