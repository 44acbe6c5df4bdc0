"""One process's health, for whatever runs it in a container: one sentence and yes or no.

Engines restart what is unhealthy, or send it no traffic. So a node that is taking over its share
is healthy, although it does not vote: a restart would begin that again.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum

from ddb.local.layout import reachable
from ddb.local.probe import HTTP_OK, fetch
from ddb.settings import GatewaySettings, NodeSettings
from ddb.wire.messages import DiskState
from ddb.wire.status_client import ask_status

_PATIENCE = 2.0


class Level(Enum):
    """What is asked of a process."""

    ALIVE = "alive"
    """It answers; if it does not, a restart may help."""
    WORKING = "working"
    """A node votes or is taking over its share; a gateway reaches two nodes of every record."""
    VOTING = "voting"
    """A node votes: the cluster is as strong as it can be with this one."""


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict and why."""

    good: bool
    reason: str


def node_health(settings: NodeSettings, level: Level) -> Health:
    """The health of the node that runs beside this process with the same settings."""
    name, host = settings.name, reachable(settings.host)
    try:
        status = asyncio.run(ask_status(host, settings.port, _PATIENCE))
    except (OSError, TimeoutError) as error:
        return Health(False, f"{name} does not answer on {host}:{settings.port}: {error!r}")
    return health_by_status(name, status, level)


def health_by_status(name: str, status: dict[str, object], level: Level) -> Health:
    """The health of the node `name` by its own status."""
    if status["state"] == "ready":
        votes = f"{name} votes and holds {status['records']} records"
        if status["disk"] == DiskState.HEALTHY.name.lower():
            return Health(True, votes)
        # A restart does not help a disk. But a rolling restart waits until this node can store.
        stalled = status["disk"] == DiskState.STALLED.name.lower()
        slow = f"{votes}, but its disk is {status['disk']}: other nodes take its requests"
        return Health(not stalled or level is not Level.VOTING, slow)
    match status["refill"]:
        case {"done": float(done) | int(done), "records": records}:
            said = f"{name} takes over its share: {done:.0%}, {records} records"
            return Health(level is not Level.VOTING, said)
    waits_for = status["waits_for"]
    awaited = ", ".join(map(str, waits_for)) if isinstance(waits_for, list) else ""
    return Health(level is Level.ALIVE, f"{name} waits for {awaited or 'the others'} to join")


def gateway_health(settings: GatewaySettings, level: Level) -> Health:
    """The health of the gateway that runs beside this process with the same settings."""
    host, path = reachable(settings.host), "/healthz" if level is Level.ALIVE else "/readyz"
    answer = fetch(host, settings.port, path, _PATIENCE)
    if answer is None:
        return Health(False, f"the gateway does not answer on {host}:{settings.port}")
    return Health(answer[0] == HTTP_OK, f"{path} answers {answer[0]}: {answer[1].decode()}")
