"""What a process is told from outside: a flag wins over the environment, that over the default.

Everything is read once, here, and becomes a frozen object; nothing else in ddb looks at the
environment. Each function is pure, so that a configuration can be tested without a process.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NoReturn

MIN_NODES = 3
MAX_NODES = 255
LAST_PORT = 65535
DEFAULT_BUDGET_MS = 225
MIN_BUDGET_MS = 100
"""Below it the time-outs derived from the budget come near the period of a link's sweep."""
MAX_BUDGET_MS = 10_000
"""Far below the minute after which nodes take the requests of a silent gateway for over."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9_.:%-]+")


class SettingsError(Exception):
    """A setting cannot be used; the sentence says which, what it got and what it takes."""


class Fsync(Enum):
    """When a write counts as durable."""

    ALWAYS = "always"
    """Once the disk has it: an acknowledged write survives the loss of power."""
    OS = "os"
    """Once the operating system has it: survives the process, not the machine."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting: its name in the environment, its flag, and what it takes."""

    name: str
    flag: str
    metavar: str
    takes: str
    default: str
    meaning: str


DB_N = Variable(
    "DB_N",
    "--nodes",
    "N",
    f"a whole number from {MIN_NODES} to {MAX_NODES}",
    "3",
    "how many nodes there are, named db-0, db-1, ...; each node's name is also its host",
)
DB_PORT = Variable(
    "DB_PORT",
    "--port",
    "P",
    f"a port from 1 to {LAST_PORT}",
    "8081",
    "the port on which nodes listen",
)
DDB_NODES = Variable(
    "DDB_NODES",
    "--members",
    "LIST",
    "name=host:port,... with distinct names of a-z, 0-9 and inner dashes, at most 63 long",
    "",
    "every node of the cluster, as name=host:port,...; wins over DB_N and DB_PORT",
)
PORT = Variable(
    "PORT",
    "--port",
    "P",
    f"a port from 1 to {LAST_PORT}",
    "8080",
    "the port on which the gateway serves HTTP",
)
DDB_HOST = Variable(
    "DDB_HOST",
    "--host",
    "HOST",
    "a host name or an address",
    "",
    "the address to listen on (default: 0.0.0.0, all of them; of `ddb up`: 127.0.0.1)",
)
DDB_NAME = Variable(
    "DDB_NAME",
    "--name",
    "NAME",
    "the name of one of the cluster's nodes",
    "",
    "this node's name (default: the host's name up to the first dot)",
)
DDB_DATA = Variable(
    "DDB_DATA",
    "--data",
    "DIR",
    "the path of a directory",
    "",
    "where the data lives (default: data/NAME for one node, data for a local cluster)",
)
DDB_FSYNC = Variable(
    "DDB_FSYNC",
    "--fsync",
    "WHEN",
    "'always' (on disk before the answer) or 'os' (in the page cache before the answer)",
    "always",
    "when a write counts as durable: always (on disk) or os (in the page cache)",
)

DDB_LOG_FILE = Variable(
    "DDB_LOG_FILE",
    "--log-file",
    "FILE",
    "the path of a file",
    "",
    "where the process logs, in at most 3 files of 10 MB (default: standard error, without bound)",
)

DDB_REQUEST_BUDGET_MS = Variable(
    "DDB_REQUEST_BUDGET_MS",
    "--request-budget-ms",
    "MS",
    f"a whole number of milliseconds from {MIN_BUDGET_MS} to {MAX_BUDGET_MS}",
    str(DEFAULT_BUDGET_MS),
    "milliseconds within which a request is answered, whatever happens to any one node",
)

# A container is reached from outside itself.
_EVERYWHERE = "0.0.0.0"  # noqa: S104

Flags = Mapping[Variable, str | None]
"""What the command line said; None, or no entry, where it said nothing."""


@dataclass(frozen=True, slots=True)
class Member:
    """One node of the cluster and where the others reach it."""

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What one node process is told."""

    name: str
    host: str
    port: int
    data: Path
    members: tuple[Member, ...]
    fsync: Fsync
    exit_with_parent: bool
    log_file: Path | None = None
    """None: standard error."""
    request_budget_ms: int = DEFAULT_BUDGET_MS


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What one gateway process is told."""

    host: str
    port: int
    members: tuple[Member, ...]
    exit_with_parent: bool
    log_file: Path | None = None
    """None: standard error."""
    request_budget_ms: int = DEFAULT_BUDGET_MS


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What `ddb up` is told. Ports: the gateway's, then the nodes' right after it."""

    nodes: int | None
    """None: as many as the data was made with, or three where there is none."""
    host: str
    port: int
    data: Path
    fsync: Fsync
    request_budget_ms: int = DEFAULT_BUDGET_MS


@dataclass(frozen=True, slots=True)
class _Given:
    """What was said for one variable, and by what the speaker knows it."""

    label: str
    text: str
    takes: str

    def refuse(self, because: str = "") -> NoReturn:
        reason = f": {because}" if because else ""
        raise SettingsError(f"{self.label} is {self.text!r}{reason}. It takes {self.takes}.")

    def number(self, low: int, high: int) -> int:
        if not (self.text.isascii() and self.text.isdigit() and len(self.text) <= len(str(high))):
            self.refuse()
        number = int(self.text)
        if not low <= number <= high:
            self.refuse()
        return number

    def port(self) -> int:
        return self.number(1, LAST_PORT)

    def host(self) -> str:
        if not _HOST.fullmatch(self.text):
            self.refuse()
        return self.text

    def path(self) -> Path:
        if "\0" in self.text:
            self.refuse()
        return Path(self.text)

    def fsync(self) -> Fsync:
        choices = {choice.value: choice for choice in Fsync}
        if self.text not in choices:
            self.refuse()
        return choices[self.text]


def node_settings(
    environ: Mapping[str, str], flags: Flags, *, hostname: str, exit_with_parent: bool = False
) -> NodeSettings:
    """One node's settings. Raises SettingsError."""
    members = _members(environ, flags)
    name = _given(DDB_NAME, environ, flags, default=hostname.partition(".")[0])
    me = next((member for member in members if member.name == name.text), None)
    if me is None:
        name.refuse(f"the cluster's nodes are {', '.join(member.name for member in members)}")
    return NodeSettings(
        name=me.name,
        host=_given(DDB_HOST, environ, flags, default=_EVERYWHERE).host(),
        # Beside a member list, DB_PORT may be left over from elsewhere; a flag is meant.
        port=me.port if flags.get(DB_PORT) is None else _given(DB_PORT, environ, flags).port(),
        data=_given(DDB_DATA, environ, flags, default=f"data/{me.name}").path(),
        members=members,
        fsync=_given(DDB_FSYNC, environ, flags).fsync(),
        exit_with_parent=exit_with_parent,
        log_file=_log_file(environ, flags),
        request_budget_ms=_budget_ms(environ, flags),
    )


def gateway_settings(
    environ: Mapping[str, str], flags: Flags, *, exit_with_parent: bool = False
) -> GatewaySettings:
    """One gateway's settings. Raises SettingsError."""
    return GatewaySettings(
        host=_given(DDB_HOST, environ, flags, default=_EVERYWHERE).host(),
        port=_given(PORT, environ, flags).port(),
        members=_members(environ, flags),
        exit_with_parent=exit_with_parent,
        log_file=_log_file(environ, flags),
        request_budget_ms=_budget_ms(environ, flags),
    )


def local_settings(environ: Mapping[str, str], flags: Flags) -> LocalSettings:
    """A local cluster's settings. Raises SettingsError."""
    nodes = _given(DB_N, environ, flags, default="")
    return LocalSettings(
        nodes=nodes.number(MIN_NODES, MAX_NODES) if nodes.text else None,
        host=_given(DDB_HOST, environ, flags, default="127.0.0.1").host(),
        port=_given(PORT, environ, flags).port(),
        data=local_data(environ, flags),
        fsync=_given(DDB_FSYNC, environ, flags).fsync(),
        request_budget_ms=_budget_ms(environ, flags),
    )


def local_data(environ: Mapping[str, str], flags: Flags) -> Path:
    """The directory of the local cluster that a command is about."""
    return _given(DDB_DATA, environ, flags, default="data").path()


def names_cluster(environ: Mapping[str, str]) -> bool:
    """Whether the environment says which nodes there are, as it does in a container."""
    return bool(environ.get(DB_N.name) or environ.get(DDB_NODES.name))


def _given(
    variable: Variable, environ: Mapping[str, str], flags: Flags, *, default: str | None = None
) -> _Given:
    said = flags.get(variable)
    if said is not None:
        return _Given(variable.flag, said, variable.takes)
    # An empty variable is how container tools pass on one that is not set.
    text = environ.get(variable.name) or (variable.default if default is None else default)
    return _Given(variable.name, text, variable.takes)


def _log_file(environ: Mapping[str, str], flags: Flags) -> Path | None:
    given = _given(DDB_LOG_FILE, environ, flags)
    return given.path().absolute() if given.text else None


def _budget_ms(environ: Mapping[str, str], flags: Flags) -> int:
    return _given(DDB_REQUEST_BUDGET_MS, environ, flags).number(MIN_BUDGET_MS, MAX_BUDGET_MS)


def _members(environ: Mapping[str, str], flags: Flags) -> tuple[Member, ...]:
    given = _given(DDB_NODES, environ, flags)
    if not given.text:
        count = _given(DB_N, environ, flags).number(MIN_NODES, MAX_NODES)
        port = _given(DB_PORT, environ, flags).port()
        return tuple(Member(f"db-{number}", f"db-{number}", port) for number in range(count))
    members = tuple(_member(given, entry.strip()) for entry in given.text.split(","))
    if not MIN_NODES <= len(members) <= MAX_NODES:
        given.refuse(f"a cluster has {MIN_NODES} to {MAX_NODES} nodes, not {len(members)}")
    names = [member.name for member in members]
    for name in names:
        if names.count(name) > 1:
            given.refuse(f"{name} is there more than once")
    addresses = [(member.host, member.port) for member in members]
    for host, port in addresses:
        if addresses.count((host, port)) > 1:
            given.refuse(f"two nodes cannot share the address {host}:{port}")
    return members


def _member(given: _Given, entry: str) -> Member:
    name, equals, address = entry.partition("=")
    host, colon, port = address.rpartition(":")
    if not equals or not colon:
        given.refuse(f"{entry!r} is not name=host:port")
    if not _NAME.fullmatch(name):
        given.refuse(f"{name!r} cannot be a node's name")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not _HOST.fullmatch(host):
        given.refuse(f"{host!r} cannot be a host")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= LAST_PORT):
        given.refuse(f"{port!r} in {entry!r} is not a port")
    return Member(name, host, int(port))
