"""The health of one process, for the container engine: a verdict and one sentence.

An engine restarts an unhealthy container, or sends it no traffic. So a node that rebuilds its data
is healthy although it does not vote. A restart would begin the rebuild again.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum

from ddb.local.layout import reachable
from ddb.local.probe import HTTP_OK, fetch
from ddb.settings import GatewaySettings, NodeSettings
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
    name, host = settings.name, reachable(settings.host)
    try:
        status = asyncio.run(ask_status(host, settings.port, _ANSWER_TIMEOUT_S))
    except (OSError, TimeoutError) as error:
        return Health(False, f"{name} does not answer on {host}:{settings.port}: {error!r}")
    return health_by_status(name, status, level)


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
    host, path = reachable(settings.host), "/healthz" if level is Level.ALIVE else "/readyz"
    answer = fetch(host, settings.port, path, _ANSWER_TIMEOUT_S)
    if answer is None:
        return Health(False, f"the gateway does not answer on {host}:{settings.port}")
    return Health(answer[0] == HTTP_OK, f"{path} answers {answer[0]}: {answer[1].decode()}")
