"""The health of one process, for the container engine: a verdict and one sentence.

An engine restarts an unhealthy container, or sends it no traffic. So a node that rebuilds its data
is healthy although it does not vote. A restart would begin the rebuild again.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum

from ddb.local.layout import GATEWAY, Layout, reachable
from ddb.local.probe import HTTP_OK, fetch
from ddb.settings import GatewaySettings, Member, NodeSettings
from ddb.wire.messages import DiskState
from ddb.wire.status_client import ask_status

_ANSWER_TIMEOUT_S = 2.0
"""Too low: a busy process counts as unhealthy. Too high: the engine's own timeout comes first."""


class Level(Enum):
    """The condition under which a process counts as healthy."""

    ALIVE = "alive"
    """It answers. If it does not, a restart may help."""
    WORKING = "working"
    """A node votes or rebuilds its data. A gateway reaches two nodes of every record."""
    VOTING = "voting"
    """A node votes. A rolling restart waits for this."""


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict and its reason."""

    good: bool
    reason: str


def node_health(settings: NodeSettings, level: Level) -> Health:
    """Return the health of the node on this machine that has these settings."""
    return _node_health(Member(settings.name, reachable(settings.host), settings.port), level)


def cluster_health(layout: Layout, level: Level, *, gateway_only: bool) -> list[Health]:
    """Return the health of each process of a local cluster.

    Args:
        gateway_only: True for the gateway alone; False for the nodes and the gateway.
    """
    nodes = [] if gateway_only else [_node_health(member, level) for member in layout.members]
    return [*nodes, _gateway_health(layout.gateway, level)]


def _node_health(node: Member, level: Level) -> Health:
    try:
        status = asyncio.run(ask_status(node.host, node.port, _ANSWER_TIMEOUT_S))
    except (OSError, TimeoutError) as error:
        return Health(False, f"{node.name} does not answer on {node.host}:{node.port}: {error!r}")
    return health_by_status(node.name, status, level)


def health_by_status(name: str, status: dict[str, object], level: Level) -> Health:
    """Return the health of the node `name` from its status document."""
    if status["state"] == "ready":
        votes = f"{name} votes and stores {status['records']} records"
        if status["disk"] == DiskState.HEALTHY.name.lower():
            return Health(True, votes)
        # A restart does not help a disk. But a rolling restart waits until this node can store.
        stalled = status["disk"] == DiskState.STALLED.name.lower()
        slow = f"{votes}, but its disk is {status['disk']}: other nodes take its requests"
        return Health(not stalled or level is not Level.VOTING, slow)
    match status["refill"]:
        case {"done": float(done) | int(done), "records": records}:
            rebuilds = f"{name} rebuilds its data: {done:.0%}, {records} records"
            return Health(level is not Level.VOTING, rebuilds)
    waits_for = status["waits_for"]
    missing = ", ".join(map(str, waits_for)) if isinstance(waits_for, list) else ""
    return Health(level is Level.ALIVE, f"{name} waits for {missing or 'the others'} to join")


def gateway_health(settings: GatewaySettings, level: Level) -> Health:
    """Return the health of the gateway on this machine that has these settings."""
    return _gateway_health(Member(GATEWAY, reachable(settings.host), settings.port), level)


def _gateway_health(gateway: Member, level: Level) -> Health:
    path = "/healthz" if level is Level.ALIVE else "/readyz"
    answer = fetch(gateway.host, gateway.port, path, _ANSWER_TIMEOUT_S)
    if answer is None:
        return Health(False, f"the gateway does not answer on {gateway.host}:{gateway.port}")
    return Health(answer[0] == HTTP_OK, f"{path} answers {answer[0]}: {answer[1].decode()}")
