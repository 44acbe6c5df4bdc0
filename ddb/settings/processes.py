"""The settings of one process, read from flags, environment and defaults.

Each function is pure, so that a test needs no process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ddb.settings.choices import Fsync, HttpLane
from ddb.settings.members import Member, numbered_members
from ddb.settings.table import (
    DB_N,
    DB_PORT,
    DDB_DATA,
    DDB_FSYNC,
    DDB_HOST,
    DDB_HTTP_LANE,
    DDB_LOG_FILE,
    DDB_NAME,
    DDB_NODES,
    DDB_REQUEST_BUDGET_MS,
    DEFAULT_BUDGET_MS,
    PORT,
    Variable,
    passed_on,
)
from ddb.settings.values import RawValue

_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104
"""A container is reached from outside itself."""

T = TypeVar("T")

Flags = Mapping[Variable[object], str | None]
"""The values on the command line. None, or no entry, where the user gave no flag."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """The settings of one node process.

    Args:
        exit_with_parent: True ends the process when standard input closes; False ignores it.
        log_file: None logs to standard error.
        request_budget_ms: milliseconds from a request to its answer.
    """

    name: str
    host: str
    port: int
    data: Path
    members: tuple[Member, ...]
    fsync: Fsync
    exit_with_parent: bool
    log_file: Path | None = None
    request_budget_ms: int = DEFAULT_BUDGET_MS


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The settings of one gateway process; for shared fields see `NodeSettings`."""

    host: str
    port: int
    members: tuple[Member, ...]
    http_lane: HttpLane
    exit_with_parent: bool
    log_file: Path | None = None
    request_budget_ms: int = DEFAULT_BUDGET_MS


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The settings of `ddb up`.

    Args:
        nodes: None takes the number of the existing data, or three for a new directory.
        port: the gateway's port; the nodes take the ports after it.
        passed_on: the checked text of each setting that the started processes take.
    """

    nodes: int | None
    host: str
    port: int
    data: Path
    passed_on: Mapping[Variable[object], str]


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Flags and environment, from which settings are read."""

    environ: Mapping[str, str]
    flags: Flags

    def raw(self, variable: Variable[object], default: str | None = None) -> RawValue:
        """Return the text of a setting; `default` replaces the default of the table."""
        flag = self.flags.get(variable)
        if flag is not None:
            return RawValue(variable.flag, flag, variable.takes)
        # Container tools pass on a variable that is not set as an empty one.
        text = self.environ.get(variable.name) or (variable.default if default is None else default)
        return RawValue(variable.name, text, variable.takes)

    def read(self, variable: Variable[T], default: str | None = None) -> T:
        """Return the value of a setting. Raises SettingsError."""
        return variable.parse(self.raw(variable, default))

    def members(self) -> tuple[Member, ...]:
        """Return the listed members, or the numbered ones where no list is given."""
        listed = self.read(DDB_NODES)
        return listed or numbered_members(self.read(DB_N), self.read(DB_PORT))


def node_settings(
    environ: Mapping[str, str], flags: Flags, *, hostname: str, exit_with_parent: bool = False
) -> NodeSettings:
    """Return the settings of one node. Raises SettingsError."""
    inputs = _Inputs(environ, flags)
    members = inputs.members()
    name = inputs.raw(DDB_NAME, default=hostname.partition(".")[0])
    me = next((member for member in members if member.name == name.text), None)
    if me is None:
        name.refuse(f"the cluster's nodes are {', '.join(member.name for member in members)}")
    # With a member list, DB_PORT may be a leftover in the environment. A flag is meant.
    listens_on_listed_port = flags.get(DB_PORT) is None
    return NodeSettings(
        name=me.name,
        host=inputs.read(DDB_HOST, default=_ALL_ADDRESSES),
        port=me.port if listens_on_listed_port else inputs.read(DB_PORT),
        data=inputs.read(DDB_DATA, default=f"data/{me.name}"),
        members=members,
        fsync=inputs.read(DDB_FSYNC),
        exit_with_parent=exit_with_parent,
        log_file=inputs.read(DDB_LOG_FILE),
        request_budget_ms=inputs.read(DDB_REQUEST_BUDGET_MS),
    )


def gateway_settings(
    environ: Mapping[str, str], flags: Flags, *, exit_with_parent: bool = False
) -> GatewaySettings:
    """Return the settings of one gateway. Raises SettingsError."""
    inputs = _Inputs(environ, flags)
    return GatewaySettings(
        host=inputs.read(DDB_HOST, default=_ALL_ADDRESSES),
        port=inputs.read(PORT),
        members=inputs.members(),
        http_lane=inputs.read(DDB_HTTP_LANE),
        exit_with_parent=exit_with_parent,
        log_file=inputs.read(DDB_LOG_FILE),
        request_budget_ms=inputs.read(DDB_REQUEST_BUDGET_MS),
    )


def local_settings(environ: Mapping[str, str], flags: Flags) -> LocalSettings:
    """Return the settings of `ddb up`. Raises SettingsError."""
    inputs = _Inputs(environ, flags)
    values = {}
    for variable in passed_on():
        inputs.read(variable)  # Raises before any process starts.
        values[variable] = inputs.raw(variable).text
    return LocalSettings(
        nodes=inputs.read(DB_N) if inputs.raw(DB_N, default="").text else None,
        host=inputs.read(DDB_HOST, default="127.0.0.1"),
        port=inputs.read(PORT),
        data=local_data(environ, flags),
        passed_on=values,
    )


def local_data(environ: Mapping[str, str], flags: Flags) -> Path:
    """Return the data directory of the local cluster. Raises SettingsError."""
    return _Inputs(environ, flags).read(DDB_DATA, default="data")


def names_cluster(environ: Mapping[str, str]) -> bool:
    """Return whether the environment names the nodes, as it does in a container."""
    return bool(environ.get(DB_N.name) or environ.get(DDB_NODES.name))
