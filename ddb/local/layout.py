"""Where a local cluster's processes listen and keep their things; what its directory says of it."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ddb.settings import LAST_PORT, MIN_NODES, LocalSettings, Member
from ddb.settings.table import (
    DDB_DATA,
    DDB_HOST,
    DDB_LOG_FILE,
    DDB_NAME,
    DDB_NODES,
    PORT,
    Command,
    Variable,
    variables_of,
)

GATEWAY = "gateway"
LOOPBACK = "127.0.0.1"
_MANIFEST = "cluster.json"
_FORMAT = 1


class LocalError(Exception):
    """A command on a local cluster cannot be done; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The cluster of one data directory: the gateway on `port`, the nodes on the ports after it."""

    data: Path
    nodes: int
    host: str
    port: int

    @property
    def members(self) -> tuple[Member, ...]:
        """Every node and its address."""
        return tuple(
            Member(f"db-{number}", LOOPBACK, self.port + 1 + number) for number in range(self.nodes)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Every process: the nodes, then the gateway."""
        return (*(member.name for member in self.members), GATEWAY)

    @property
    def gateway(self) -> Member:
        """Where this machine reaches the gateway."""
        return Member(GATEWAY, reachable(self.host), self.port)

    @property
    def url(self) -> str:
        """The gateway's URL, as seen from this machine."""
        return url_of(self.gateway)

    def log(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self.data / f"{name}.log"

    def address(self, name: str) -> tuple[str, int]:
        """Where this machine reaches a process."""
        for member in (*self.members, self.gateway):
            if member.name == name:
                return (member.host, member.port)
        raise LocalError(f"There is no {name} here: this cluster has {', '.join(self.names)}.")

    def command(self, name: str, passed_on: Mapping[Variable[object], str]) -> list[str]:
        """Return the command line of a process.

        Args:
            passed_on: the settings that `ddb up` passes on, as text.
        """
        command = Command.GATEWAY if name == GATEWAY else Command.NODE
        values = {**self._values(name), **passed_on}
        flags = [
            part
            for variable in variables_of(command)
            if variable in values
            for part in (variable.flag, values[variable])
        ]
        return [sys.executable, "-m", "ddb", command.value, *flags, "--exit-with-parent"]

    def _values(self, name: str) -> dict[Variable[object], str]:
        """Return the settings that the layout determines."""
        members = ",".join(f"{each.name}={each.host}:{each.port}" for each in self.members)
        shared: dict[Variable[object], str] = {
            DDB_NODES: members,
            DDB_LOG_FILE: str(self.log(name)),
        }
        if name == GATEWAY:
            return shared | {PORT: str(self.port), DDB_HOST: self.host}
        data = str(self.data / name)
        return shared | {DDB_HOST: LOOPBACK, DDB_NAME: name, DDB_DATA: data}


def reachable(host: str) -> str:
    """Where this machine reaches what listens on `host`."""
    return LOOPBACK if host in ("0.0.0.0", "::") else host  # noqa: S104


def url_of(gateway: Member) -> str:
    """The URL of a gateway, as seen from this machine."""
    host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
    return f"http://{host}:{gateway.port}"


def plan(settings: LocalSettings) -> Layout:
    """The layout that `ddb up` is to start: what was asked for, held against what is on disk."""
    data = settings.data.absolute()
    made_with = load(data).nodes if is_layout(data) else None
    nodes = settings.nodes or made_with or MIN_NODES
    if made_with is not None and nodes != made_with:
        raise LocalError(
            f"The data in {data} is of {made_with} nodes and cannot start with {nodes}. No process"
            " has started, and the data is unchanged. Omit --nodes, or choose another directory"
            " with --data."
        )
    if settings.port + nodes > LAST_PORT:
        raise LocalError(
            f"{nodes} nodes after port {settings.port} would go past port {LAST_PORT}."
            f" Choose --port {LAST_PORT - nodes} or lower."
        )
    return Layout(data, nodes, settings.host, settings.port)


def save(layout: Layout) -> None:
    """Write down what the data was made with, for the next start and for other commands."""
    target = layout.data / _MANIFEST
    draft = target.with_suffix(".tmp")
    facts = {
        "format": _FORMAT,
        "nodes": layout.nodes,
        "host": layout.host,
        "port": layout.port,
    }
    with draft.open("w", encoding="utf-8") as file:
        json.dump(facts, file)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)


def is_layout(data: Path) -> bool:
    """Whether a cluster was ever started in this directory."""
    return (data / _MANIFEST).exists()


def load(data: Path) -> Layout:
    """The layout that was last started in a directory."""
    path = data.absolute() / _MANIFEST
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LocalError(
            f"There is no local cluster in {path.parent}. Start one with `ddb up`,"
            " or say where it is with --data."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise LocalError(f"{path} cannot be read ({error}). Restore it from a backup.") from error
    match facts:
        case {"format": 1, "nodes": int(nodes), "host": str(host), "port": int(port)}:
            return Layout(path.parent, nodes, host, port)
    raise LocalError(f"{path} is of no format that this version knows. Restore it from a backup.")
