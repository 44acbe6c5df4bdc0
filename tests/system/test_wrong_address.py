"""Processes that reach the nodes of another cluster by a wrong address do them no harm."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from ddb.wire.status_client import ask_status
from tests.cluster import Cluster, free_ports, wait_for
from tests.process import Process
from tests.system.homes import Homes

NAMES = ("db-0", "db-1", "db-2")
LIST = "correct the list of nodes"
PAUSED_S = 0.8
"""Lower: the other nodes do not notice the pause. Higher: the test takes longer."""


def addresses(ports: dict[str, int]) -> str:
    """Return the value of `--members` for these ports."""
    return ",".join(f"{name}=127.0.0.1:{port}" for name, port in ports.items())


def stray(directory: Path, name: str, ports: dict[str, int]) -> Process:
    """Start a node with an empty disk."""
    place = ("--host", "127.0.0.1", "--port", str(ports[name]), "--data", f"stray-{name}")
    return Process(directory, "node", "--name", name, "--members", addresses(ports), *place)


def gateway_of(directory: Path, ports: dict[str, int]) -> Process:
    """Start a gateway."""
    place = ("--host", "127.0.0.1", "--port", str(free_ports(1)))
    return Process(directory, "gateway", "--members", addresses(ports), *place)


def ids(homes: Homes) -> dict[str, int]:
    """Return the node id of each node."""
    return {name: homes.facts(name)["node_id"] for name in NAMES}


def is_ready(port: int) -> bool:
    """Return whether the node at this port of this machine votes."""
    try:
        return asyncio.run(ask_status("127.0.0.1", port, 1.0))["state"] == "ready"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("order", "fault"),
    [(("db-2", "db-1"), "kill"), (("db-1", "db-2"), "kill"), (("db-1", "db-2"), "pause")],
    ids=["wrong addresses", "right addresses", "right addresses, pauses"],
)
def test_a_stray_node_does_not_replace_another(
    whole: Cluster, homes: Homes, tmp_path: Path, order: tuple[str, str], fault: str
) -> None:
    """A second db-0 on another port gets no vote, also while the first one is down.

    `order`: the nodes that answer at the stray node's addresses of db-1 and db-2.
    """
    before = ids(homes)
    there = {name: whole.port + 1 + NAMES.index(name) for name in NAMES}
    ports = {"db-0": free_ports(1), "db-1": there[order[0]], "db-2": there[order[1]]}
    with stray(tmp_path, "db-0", ports) as second:
        assert second.says(LIST)
        for name in NAMES:
            whole.do(fault, name)
            time.sleep(PAUSED_S)
            whole.do("start" if fault == "kill" else "resume", name)
            assert wait_for(homes.settled, 20)
        assert second.running
        assert ids(homes) == before


def test_a_second_set_of_nodes_waits(whole: Cluster, homes: Homes, tmp_path: Path) -> None:
    """Three blank nodes with the right list and other ports replace none, at a restart of all."""
    before = ids(homes)
    there = {name: whole.port + 1 + NAMES.index(name) for name in NAMES}
    with ExitStack() as stack:
        for name in NAMES:
            second = stack.enter_context(stray(tmp_path, name, there | {name: free_ports(1)}))
            assert second.says(LIST)
        for name in NAMES:
            whole.do("kill", name)
        for name in NAMES:
            whole.do("start", name)
        assert wait_for(homes.settled, 20)
        assert ids(homes) == before


def test_two_clusters_stay_apart(whole: Cluster, homes: Homes, tmp_path: Path) -> None:
    """A node of another cluster that has a wrong address serves its own cluster alone."""
    before = ids(homes)
    first = free_ports(3)
    own = {name: first + number for number, name in enumerate(NAMES)}
    wrong = own | {"db-1": whole.port + 2}
    with stray(tmp_path, "db-0", own), stray(tmp_path, "db-1", own):
        with stray(tmp_path, "db-2", own) as last:
            assert wait_for(lambda: is_ready(own["db-2"]), 20)
            assert last.running
            gateway = gateway_of(tmp_path, own | {"db-1": whole.port + 2})
            with gateway:
                assert gateway.says("belong to different clusters")
                assert gateway.running
        with stray(tmp_path, "db-2", wrong) as last:
            assert last.says("different clusters")
            for name in NAMES:
                whole.do("kill", name)
                whole.do("start", name)
                assert wait_for(homes.settled, 20)
            assert last.running
    assert ids(homes) == before
