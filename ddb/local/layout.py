"""The layout of a local cluster: addresses, command lines, and the manifest in its directory."""

import difflib
import json
import os
import sys
from collections.abc import Mapping, Sequence
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
_MANIFEST_FILE = "cluster.json"
_MANIFEST_FORMAT = 1
_RESTORE = "Nothing was done, and the records are unchanged. Restore the file from a backup."


class LocalError(Exception):
    """A command on a local cluster failed; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The cluster of one data directory.

    Args:
        host: the address on which the gateway listens; nodes use the loopback address.
        port: the gateway's port; the nodes take the ports after it.
    """

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
        """The name of every process: the nodes, then the gateway."""
        return (*(member.name for member in self.members), GATEWAY)

    @property
    def gateway(self) -> Member:
        """The gateway and its address, as this machine reaches it."""
        return Member(GATEWAY, reachable(self.host), self.port)

    @property
    def url(self) -> str:
        """The gateway's URL on this machine."""
        return url_of(self.gateway)

    def log(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self.data / f"{name}.log"

    def address(self, name: str) -> tuple[str, int]:
        """Return the host and port of a process. Raises LocalError for a foreign name."""
        for member in (*self.members, self.gateway):
            if member.name == name:
                return (member.host, member.port)
        raise LocalError(foreign_name(name, self.names))

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


def foreign_name(name: str, names: Sequence[str]) -> str:
    """Return the error for a name that no process of the cluster has."""
    similar = difflib.get_close_matches(name, names, 1)
    guess = f" Did you mean {similar[0]}?" if similar else ""
    return (
        f"There is no {name} in this cluster. Nothing was done, and no data is affected.{guess}"
        f" Choose one of {', '.join(names)}."
    )


def reachable(host: str) -> str:
    """Return the address at which this machine reaches a process that listens on `host`."""
    return LOOPBACK if host in ("0.0.0.0", "::") else host  # noqa: S104


def url_of(gateway: Member) -> str:
    """Return the URL of a gateway."""
    host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
    return f"http://{host}:{gateway.port}"


def plan(settings: LocalSettings) -> Layout:
    """Return the layout that `ddb up` starts. Raises LocalError if it does not fit the data."""
    data = settings.data.absolute()
    stored_nodes = load(data).nodes if is_layout(data) else None
    nodes = settings.nodes or stored_nodes or MIN_NODES
    if stored_nodes is not None and nodes != stored_nodes:
        raise LocalError(
            f"The data in {data} is of {stored_nodes} nodes and cannot start with {nodes}."
            " No process has started, and the data is unchanged. Omit --nodes, or choose another"
            " directory with --data."
        )
    if settings.port + nodes > LAST_PORT:
        raise LocalError(
            f"{nodes} nodes after port {settings.port} need ports above {LAST_PORT}. No process has"
            f" started, and no data is affected. Choose --port {LAST_PORT - nodes} or lower."
        )
    return Layout(data, nodes, settings.host, settings.port)


def save(layout: Layout) -> None:
    """Write the manifest durably, for the next start and for other commands."""
    target = layout.data / _MANIFEST_FILE
    draft = target.with_suffix(".tmp")
    manifest = {
        "format": _MANIFEST_FORMAT,
        "nodes": layout.nodes,
        "host": layout.host,
        "port": layout.port,
    }
    with draft.open("w", encoding="utf-8") as file:
        json.dump(manifest, file)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)


def is_layout(data: Path) -> bool:
    """Return whether a cluster was ever started in this directory."""
    return (data / _MANIFEST_FILE).exists()


def load(data: Path) -> Layout:
    """Return the layout that was last started in a directory. Raises LocalError."""
    path = data.absolute() / _MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LocalError(
            f"There is no local cluster in {path.parent}. Nothing was done, and no data is"
            " affected. Start a cluster with `ddb up`, or name its directory with --data."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise LocalError(f"{path} cannot be read ({error}). {_RESTORE}") from error
    match manifest:
        case {"format": 1, "nodes": int(nodes), "host": str(host), "port": int(port)}:
            return Layout(path.parent, nodes, host, port)
    raise LocalError(f"{path} has a format that this version does not support. {_RESTORE}")
