"""The table of all settings.

Flags, environment variables, `--help` and the command lines that `ddb up` starts come from it.
A test compares it with the table in the README.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from ddb.settings.choices import Fsync, HttpLane
from ddb.settings.members import MAX_NODES, MIN_NODES, listed_members
from ddb.settings.values import (
    LAST_PORT,
    RawValue,
    choice,
    parse_host,
    parse_optional_path,
    parse_path,
    parse_text,
    whole_number,
)

DEFAULT_BUDGET_MS = 225
"""Too low: a slow disk turns requests into errors. Too high: clients wait longer for an error."""
MIN_BUDGET_MS = 100
"""Lower, the timeouts derived from the budget come near the period of a link's sweep."""
MAX_BUDGET_MS = 10_000
"""Far below the minute after which nodes take over the requests of a silent gateway."""

T_co = TypeVar("T_co", covariant=True)


class Command(Enum):
    """A command, or a group of commands that share their flags."""

    UP = "up"
    NODE = "node"
    GATEWAY = "gateway"
    CONTROL = "control"
    """The commands that act on a local cluster: stop, kill, pause, resume, start and status."""


class UnderUp(Enum):
    """The origin of a setting of the processes that `ddb up` starts."""

    PASSED_ON = "passed on"
    """`ddb up` takes the setting too, and passes its value on to each process that takes it."""
    LAYOUT = "layout"
    """`ddb up` derives the setting of each process from the layout of the local cluster."""


@dataclass(frozen=True, slots=True)
class Variable(Generic[T_co]):
    """One setting.

    Args:
        name: the environment variable.
        flag: the flag; two settings of different commands may share one.
        metavar: the placeholder of the value in `--help`.
        parse: turns the text into a value. Raises SettingsError.
        takes: the accepted values, completing "Set NAME to ...".
        default: the text that applies when the user gives none; "" where `meaning` explains it.
        meaning: the effect of the setting.
        commands: the commands that have the flag, apart from `ddb up` where it passes it on.
        under_up: the origin of the value under `ddb up`.
    """

    name: str
    flag: str
    metavar: str
    parse: Callable[[RawValue], T_co]
    takes: str
    default: str
    meaning: str
    commands: frozenset[Command]
    under_up: UnderUp

    def is_taken_by(self, command: Command) -> bool:
        """Return whether the command has the flag."""
        passed_on = command is Command.UP and self.under_up is UnderUp.PASSED_ON
        return passed_on or command in self.commands

    def __repr__(self) -> str:
        return f"<Variable {self.name}, {self.flag}, under up: {self.under_up.value}>"


DB_N = Variable(
    name="DB_N",
    flag="--nodes",
    metavar="N",
    parse=whole_number(MIN_NODES, MAX_NODES),
    takes=f"a whole number from {MIN_NODES} to {MAX_NODES}",
    default="3",
    meaning="number of nodes, named db-0, db-1, ...; each name is also a host",
    commands=frozenset({Command.UP, Command.NODE, Command.GATEWAY}),
    under_up=UnderUp.LAYOUT,
)
DB_PORT = Variable(
    name="DB_PORT",
    flag="--port",
    metavar="P",
    parse=whole_number(1, LAST_PORT),
    takes=f"a port from 1 to {LAST_PORT}",
    default="8081",
    meaning="the port of every node",
    commands=frozenset({Command.NODE}),
    under_up=UnderUp.LAYOUT,
)
DDB_NODES = Variable(
    name="DDB_NODES",
    flag="--members",
    metavar="LIST",
    parse=listed_members,
    takes="name=host:port,... with distinct names of a-z, 0-9 and inner dashes, at most 63 long",
    default="",
    meaning="every node of the cluster, as name=host:port,...; wins over DB_N and DB_PORT",
    commands=frozenset({Command.NODE, Command.GATEWAY}),
    under_up=UnderUp.LAYOUT,
)
PORT = Variable(
    name="PORT",
    flag="--port",
    metavar="P",
    parse=whole_number(1, LAST_PORT),
    takes=f"a port from 1 to {LAST_PORT}",
    default="8080",
    meaning="the port of the gateway; under `ddb up` the nodes take the ports after it",
    commands=frozenset({Command.UP, Command.GATEWAY}),
    under_up=UnderUp.LAYOUT,
)
DDB_HOST = Variable(
    name="DDB_HOST",
    flag="--host",
    metavar="HOST",
    parse=parse_host,
    takes="a host name or an address",
    default="",
    meaning="the address to listen on (default: 0.0.0.0, all of them; of `ddb up`: 127.0.0.1)",
    commands=frozenset({Command.UP, Command.NODE, Command.GATEWAY}),
    under_up=UnderUp.LAYOUT,
)
DDB_NAME = Variable(
    name="DDB_NAME",
    flag="--name",
    metavar="NAME",
    parse=parse_text,
    takes="the name of one of the cluster's nodes",
    default="",
    meaning="the name of this node (default: the host's name up to the first dot)",
    commands=frozenset({Command.NODE}),
    under_up=UnderUp.LAYOUT,
)
DDB_DATA = Variable(
    name="DDB_DATA",
    flag="--data",
    metavar="DIR",
    parse=parse_path,
    takes="the path of a directory",
    default="",
    meaning="the data directory (default: data/NAME for one node, data for a local cluster)",
    commands=frozenset({Command.UP, Command.NODE, Command.CONTROL}),
    under_up=UnderUp.LAYOUT,
)
DDB_FSYNC = Variable(
    name="DDB_FSYNC",
    flag="--fsync",
    metavar="WHEN",
    parse=choice(Fsync),
    takes="'always' (on disk before the answer) or 'os' (in the page cache before the answer)",
    default="always",
    meaning="when a write counts as durable: always (on disk) or os (in the page cache)",
    commands=frozenset({Command.NODE}),
    under_up=UnderUp.PASSED_ON,
)
DDB_REQUEST_BUDGET_MS = Variable(
    name="DDB_REQUEST_BUDGET_MS",
    flag="--request-budget-ms",
    metavar="MS",
    parse=whole_number(MIN_BUDGET_MS, MAX_BUDGET_MS),
    takes=f"a whole number of milliseconds from {MIN_BUDGET_MS} to {MAX_BUDGET_MS}",
    default=str(DEFAULT_BUDGET_MS),
    meaning="milliseconds from a request to its answer while at most one node fails",
    commands=frozenset({Command.NODE, Command.GATEWAY}),
    under_up=UnderUp.PASSED_ON,
)
DDB_HTTP_LANE = Variable(
    name="DDB_HTTP_LANE",
    flag="--http-lane",
    metavar="LANE",
    parse=choice(HttpLane),
    takes="'fast' or 'asgi'",
    default="fast",
    meaning="fast (no framework for single users) or asgi (Starlette serves all requests)",
    commands=frozenset({Command.GATEWAY}),
    under_up=UnderUp.PASSED_ON,
)
DDB_LOG_FILE = Variable(
    name="DDB_LOG_FILE",
    flag="--log-file",
    metavar="FILE",
    parse=parse_optional_path,
    takes="the path of a file",
    default="",
    meaning="the log, in at most 3 files of 10 MB (default: standard error, without limit)",
    commands=frozenset({Command.NODE, Command.GATEWAY}),
    under_up=UnderUp.LAYOUT,
)

TABLE: tuple[Variable[object], ...] = (
    DB_N,
    DB_PORT,
    DDB_NODES,
    PORT,
    DDB_HOST,
    DDB_NAME,
    DDB_DATA,
    DDB_FSYNC,
    DDB_REQUEST_BUDGET_MS,
    DDB_HTTP_LANE,
    DDB_LOG_FILE,
)
"""Every setting, in the order of the README."""


def variables_of(command: Command) -> tuple[Variable[object], ...]:
    """Return the settings that the command takes as flags, in the order of the table."""
    return tuple(variable for variable in TABLE if variable.is_taken_by(command))


def passed_on() -> tuple[Variable[object], ...]:
    """Return the settings that `ddb up` passes on to the processes it starts."""
    return tuple(variable for variable in TABLE if variable.under_up is UnderUp.PASSED_ON)
