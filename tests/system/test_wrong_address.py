"""Processes that reach the nodes of another cluster by a wrong address do them no harm."""

import time
from pathlib import Path

import pytest

from tests.cluster import Cluster, free_ports, wait_for
from tests.process import Process
from tests.system.homes import Homes

NAMES = ("db-0", "db-1", "db-2")
STRAYS_S = 1.5
"""Seconds that the stray node has to connect. Lower: a busy machine hides what it does."""


def addresses(ports: dict[str, int]) -> str:
    """Return the value of `--members` for these ports."""
    return ",".join(f"{name}=127.0.0.1:{port}" for name, port in ports.items())


@pytest.mark.parametrize(
    ("order", "down", "reason"),
    [
        (("db-2", "db-1"), "", "correct the list of nodes or the ports"),
        (("db-2", "db-1"), "db-0", "correct the list of nodes or the ports"),
        (("db-1", "db-2"), "", "stop one of the two, or correct its addresses"),
    ],
    ids=["wrong nodes", "wrong nodes while the own one is down", "a second db-0"],
)
def test_a_stray_node_does_not_replace_another(
    whole: Cluster,
    homes: Homes,
    tmp_path: Path,
    order: tuple[str, str],
    down: str,
    reason: str,
) -> None:
    """A new node with the name of another one and wrong addresses leaves that one its vote.

    `order`: the nodes that answer at the stray node's addresses of db-1 and db-2.
    """
    before = {name: homes.facts(name)["node_id"] for name in NAMES}
    if down:
        whole.do("kill", down)
    port = free_ports(1)
    there = {name: whole.port + 1 + NAMES.index(name) for name in NAMES}
    ports = {"db-0": port, "db-1": there[order[0]], "db-2": there[order[1]]}
    command = ("node", "--name", "db-0", "--members", addresses(ports), "--port", str(port))
    with Process(tmp_path, *command, "--host", "127.0.0.1", "--data", "stray") as stray:
        assert stray.says(reason)
        time.sleep(STRAYS_S)
        assert stray.running
    for name in NAMES:
        if name != down:
            whole.do("kill", name)
        whole.do("start", name)
        assert wait_for(homes.settled, 20)
    assert {name: homes.facts(name)["node_id"] for name in NAMES} == before
