"""The images and containers: limits, ports, health, start, stop."""

import re
import signal
from functools import partial

from tests.cluster import wait_for
from tests.compose.stack import PORT, Stack, docker, fetch, inspect, timed, user

CONTAINERS = ("gateway", "db-0", "db-1", "db-2")
STOP_LIMIT_S = 5.0
"""The compose file's `stop_grace_period`; after it the engine kills the process."""


def test_acceptance_inside_the_gateway(stack: Stack) -> None:
    """`docker-compose exec gateway pytest` runs the acceptance tests of the API, and they pass."""
    output = stack.compose("exec", "-T", "gateway", "pytest", "-q")
    assert re.search(r"^\d{3,} passed in ", output, re.MULTILINE), output
    assert "Python 3.13." in stack.compose("exec", "-T", "gateway", "python", "--version")


def test_second_build_is_cached(stack: Stack) -> None:
    """A second build of an unchanged tree makes the same images."""
    before = [inspect(container, ".Image") for container in CONTAINERS]
    took = timed(lambda: stack.compose("build", "gateway", "db-0"))
    after = docker("inspect", "-f", "{{.Id}}", "ddb-gateway", *["ddb-db"] * 3).split()
    print(f"second build {took:.1f} s; sizes {sizes()}")
    assert after == before


def test_containers_are_confined(stack: Stack) -> None:
    """Containers run without root, with limited memory, and write to /data and /tmp only."""
    for container in CONTAINERS:
        assert docker("exec", container, "id", "-u").strip() == "10001"
        assert inspect(container, ".HostConfig.ReadonlyRootfs") == "true"
        assert int(inspect(container, ".HostConfig.Memory")) > 0
        assert inspect(container, ".HostConfig.RestartPolicy.Name") == "unless-stopped"
        assert inspect(container, ".HostConfig.CapDrop") == "[ALL]"
        assert "init" in docker("exec", container, "cat", "/proc/1/comm")
        assert "Read-only" in docker("exec", container, "touch", "/opt/ddb/x", check=False)


def test_one_port_is_published(stack: Stack) -> None:
    """Only the gateway publishes a port, and only one."""
    ports = {container: inspect(container, ".HostConfig.PortBindings") for container in CONTAINERS}
    assert ports.pop("gateway") == f"map[8080/tcp:[{{ {PORT}}}]]"
    assert set(ports.values()) == {"map[]"}


def test_health_follows_the_process(stack: Stack) -> None:
    """Every container becomes healthy; the health command fails for a frozen node."""
    assert wait_for(lambda: {health(each) for each in CONTAINERS} == {"healthy"}, 40)
    assert "votes and stores" in docker("exec", "db-1", "ddb", "health", "--voting")
    send_signal("db-1", signal.SIGSTOP)
    try:
        output = docker("exec", "db-1", "ddb", "health", "--alive", check=False)
        assert "db-1 does not answer" in output
        status, answer = fetch("GET", "/readyz")
        assert (status, answer["ready"]) == (200, True)
    finally:
        send_signal("db-1", signal.SIGCONT)


def test_status_in_the_container_of_the_gateway(stack: Stack) -> None:
    """`docker-compose exec gateway ddb status` shows every node and the gateway."""
    table = stack.compose("exec", "-T", "gateway", "ddb", "status")
    print(table)
    assert table.startswith("READY: all 3 nodes decide")
    rows = [line.split() for line in table.splitlines()]
    assert [row[0] for row in rows[3:7]] == ["db-0", "db-1", "db-2", "gateway"]
    assert all(row[4] == "up" for row in rows[3:7])


def test_graceful_stop(stack: Stack) -> None:
    """Every container stops by itself within five seconds, and stored users survive."""
    assert fetch("POST", "/api/users/", user("kept"))[0] == 201
    for container in CONTAINERS:
        took = timed(partial(stack.compose, "stop", container))
        print(f"{container} stopped in {took:.1f} s")
        assert took < STOP_LIMIT_S
        assert inspect(container, ".State.ExitCode") == "0"
    stack.compose("start")
    stack.wait_ready()
    assert fetch("GET", "/api/users/kept") == (200, user("kept"))


def test_port_is_changed_in_one_place(stack: Stack) -> None:
    """PORT alone moves the gateway to another port."""
    stack.compose("up", "-d", PORT="8079")
    stack.wait_ready(8079)
    assert fetch("GET", "/api/users/kept", port=8079)[0] == 200
    stack.compose("up", "-d")
    stack.wait_ready()


def health(container: str) -> str:
    """Return the health that the engine reports."""
    return inspect(container, ".State.Health.Status")


def send_signal(container: str, number: int) -> None:
    """Send a signal to the ddb process, the child of the container's init."""
    code = f"import os; os.kill(int(open('/proc/1/task/1/children').read()), {int(number)})"
    docker("exec", container, "python", "-c", code)


def sizes() -> str:
    """Return names and sizes of the images in one line."""
    images = docker("images", "--format", "{{.Repository}} {{.Size}}").splitlines()
    return ", ".join(sorted(image for image in images if image.startswith(("ddb-", "python "))))
