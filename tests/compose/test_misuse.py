"""Wrong settings and absent nodes: clear messages, no other harm."""

import re

from ddb.wire.messages import PROTOCOL
from tests.cluster import wait_for
from tests.compose.stack import PROJECT, Stack, docker, fetch, insist, inspect, user

PATH = "/api/users/"
NETWORK = f"{PROJECT}_default"
NEWER = """FROM ddb-db
USER root
WORKDIR /opt/ddb
RUN sed -i 's/^PROTOCOL = .*/PROTOCOL = 1000/' lib/python3*/*/ddb/wire/messages/handshake.py
WORKDIR /
USER ddb
"""


def test_wrong_number_of_nodes(stack: Stack) -> None:
    """A process refuses an invalid DB_N at start, and its message names the valid values."""
    for wrong, service in (("2", "db-0"), ("many", "gateway")):
        output = stack.compose(
            "run", "--rm", "--no-deps", "-e", f"DB_N={wrong}", service, check=False
        )
        assert f"DB_N is '{wrong}'" in output
        assert "Set DB_N to a whole number from 3 to 255" in output


def test_no_number_of_nodes(stack: Stack) -> None:
    """Without DB_N there are three nodes."""
    assert "DB_N=3" in inspect("db-0", ".Config.Env")
    output = docker("run", "--rm", "--hostname", "db-7", "ddb-db", check=False)
    assert "the cluster's nodes are db-0, db-1, db-2" in output


def test_one_node_with_another_number(stack: Stack) -> None:
    """A node with another DB_N refuses its data with a clear message; the others continue."""
    assert insist("POST", PATH, user("before"))[0] == 201
    stack.compose("stop", "db-1")
    output = stack.compose(
        "run", "--rm", "--no-deps", "-e", "DB_N=5", "-e", "DDB_NAME=db-1", "db-1", check=False
    )
    assert "made for the nodes db-0, db-1, db-2, not for db-0, db-1, db-2, db-3, db-4" in output
    assert insist("PUT", PATH, {"id": "before", "group": 9}) == (200, user("before", 9))
    stack.compose("start", "db-1")
    assert wait_for(lambda: stack.facts("db-1")["phase"] == "ready", 20)


def test_gateway_of_another_cluster(stack: Stack) -> None:
    """Nodes refuse a gateway with another list of nodes, and both sides log the reason."""
    name = f"{PROJECT}-stray"
    docker("run", "-d", "--rm", "--name", name, "--network", NETWORK, "-e", "DB_N=4", "ddb-gateway")
    try:
        assert wait_for(lambda: "give every process the same list" in docker("logs", name), 20)
        assert "db-0 is configured with the nodes db-0, db-1, db-2" in docker("logs", name)
        assert "refused a gateway" in stack.logs("db-0")
        output = docker("exec", name, "ddb", "health", "--gateway", check=False)
        assert "/readyz answers 503" in output
    finally:
        docker("kill", name)


def test_unwritable_volume(stack: Stack) -> None:
    """A node that cannot write to its volume reports that at once and changes nothing."""
    root_only = ("--mount", "type=tmpfs,destination=/data")
    read_only = ("-v", f"{PROJECT}_db-0:/data:ro")
    for mount, problem in (
        (root_only, "read: .*Permission denied"),
        (read_only, "written: Read-only"),
    ):
        output = docker("run", "--rm", "--hostname", "db-0", *mount, "ddb-db", check=False)
        assert re.search(rf"^db-0: /data\S* cannot be {problem}", output, re.MULTILINE), output


def test_mixed_versions(stack: Stack) -> None:
    """A node of another protocol and its peers refuse each other and log it; others continue."""
    docker("build", "-q", "-t", "ddb-db:newer", "-", stdin=NEWER)
    stack.compose("stop", "db-2")
    name = f"{PROJECT}-newer"
    volume = ("-v", f"{PROJECT}_db-2:/data", "--hostname", "db-2", "--network-alias", "db-2")
    docker("run", "-d", "--rm", "--name", name, "--network", NETWORK, *volume, "ddb-db:newer")
    try:
        remedy = "run the same version everywhere"
        assert wait_for(lambda: remedy in docker("logs", name), 20)
        assert wait_for(
            lambda: f"db-2 speaks protocol 1000, the caller {PROTOCOL}" in stack.logs("db-0"), 20
        )
        assert wait_for(lambda: "db-2 speaks protocol 1000" in stack.logs("gateway"), 20)
        for number in range(20):
            assert insist("POST", PATH, user(f"mixed-{number}"))[0] == 201
    finally:
        docker("rm", "-f", name)
        docker("rmi", "-f", "ddb-db:newer")
    stack.compose("start", "db-2")
    assert wait_for(lambda: stack.facts("db-2")["phase"] == "ready", 20)
    for number in range(20):
        assert insist("GET", PATH + f"mixed-{number}") == (200, user(f"mixed-{number}"))


def test_name_that_resolves_later(stack: Stack) -> None:
    """A cluster waits for a node whose name does not resolve yet, and starts once it does."""
    stack.down()
    stack.compose("up", "-d", "gateway", "db-0", "db-1")
    assert wait_for(lambda: "db-0 waits for db-2 to join" in stack.logs("db-0"), 30)
    assert wait_for(lambda: fetch("GET", "/readyz")[0] == 503, 20)
    status, answer = fetch("POST", PATH, user("early"))
    assert (status, answer["applied"]) == (503, "no")
    stack.compose("up", "-d", "db-2")
    stack.wait_ready()
    assert insist("POST", PATH, user("early"))[0] == 201
