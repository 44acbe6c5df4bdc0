"""The `ddb` command: run one process or a local cluster, act on it, and report on it."""

import argparse
import os
import socket
import sys
from collections.abc import Mapping, Sequence

from ddb import __version__
from ddb.settings import (
    Flags,
    GatewaySettings,
    NodeSettings,
    SettingsError,
    gateway_settings,
    local_data,
    local_settings,
    names_cluster,
    node_settings,
)
from ddb.settings.table import DDB_DATA, Command, Variable, variables_of

OK = 0
FAILURE = 1
USAGE = 2
NOT_READY = 1
"""`ddb status`: some record cannot be decided now, or the gateway does not answer."""
NO_STATUS = 2
"""`ddb status`: no cluster runs that could be asked."""

_KILLED_SUPERVISOR_TIMEOUT_S = 5.0
"""How long `ddb up` waits for ports after its predecessor was killed.

Too low: the old processes, which end by themselves, still use the ports. Too high: `ddb up` takes
long to report a port that another program uses.
"""
_ACTIONS = {
    "stop": "stop processes of the local cluster cleanly (SIGTERM)",
    "kill": "kill processes of the local cluster (SIGKILL)",
    "pause": "freeze processes of the local cluster (SIGSTOP)",
    "resume": "continue paused processes of the local cluster (SIGCONT)",
    "start": "start stopped processes of the local cluster",
}
_COMMANDS = ("up", "node", "gateway", *_ACTIONS, "status", "health")
_EXAMPLES = """
examples:
  ddb up --port 9000 --nodes 5   run five nodes and a gateway here, until Ctrl-C
  ddb status                     show whether each record can be decided, and every process
  ddb kill db-1                  end one node as a crash does; the others serve
  ddb start all                  start every stopped process
  ddb health                     check every process of the local cluster

`ddb COMMAND --help` explains one command.
"""
_LEVELS = {
    "alive": "healthy if the process answers",
    "working": "healthy if a node votes or rebuilds, or a gateway reaches enough nodes (default)",
    "voting": "healthy if a node votes",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 success, 1 failure, 2 wrong usage."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        _parser().print_help()
        return OK
    if not given[0].startswith("-") and given[0] not in _COMMANDS:
        print(f"ddb: {_no_such_command(given[0])}", file=sys.stderr)
        return USAGE
    args = _parser().parse_args(given)
    try:
        return _run(args)
    except SettingsError as error:
        print(f"ddb: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return FAILURE


def _no_such_command(name: str) -> str:
    import difflib

    similar = difflib.get_close_matches(name, _COMMANDS, 1)
    guess = f" Did you mean `ddb {similar[0]}`?" if similar else ""
    return (
        f"There is no command {name!r}. Nothing was done, and no data is affected.{guess}"
        f" Choose one of {', '.join(_COMMANDS)}."
    )


def _run(args: argparse.Namespace) -> int:
    # Each command imports its own modules, so that no command waits for another's libraries.
    match args.command:
        case "node":
            return _node(args)
        case "gateway":
            return _gateway(args)
        case "health":
            return _health(args)
        case "status":
            return _show_status(args)
        case command:
            from ddb.local.layout import LocalError

            try:
                return _local(command, args)
            except LocalError as error:
                print(f"ddb: {error}", file=sys.stderr)
                return FAILURE


def _node(args: argparse.Namespace) -> int:
    settings = _node_settings(args, os.environ)
    from ddb.node.process import run

    return run(settings)


def _gateway(args: argparse.Namespace) -> int:
    settings = _gateway_settings(args, os.environ)
    from ddb.gateway.process import run

    return run(settings)


def _health(args: argparse.Namespace) -> int:
    from ddb.local.health import Level, cluster_health, gateway_health, node_health
    from ddb.local.layout import LocalError, is_layout, load

    level, flags = Level(args.level), _flags(args, Command.CONTROL)
    data = local_data(os.environ, flags)
    if flags[DDB_DATA] or (not names_cluster(os.environ) and is_layout(data)):
        try:
            layout = load(data)
        except LocalError as error:
            print(f"ddb: {error}", file=sys.stderr)
            return FAILURE
        healths = cluster_health(layout, level, gateway_only=args.gateway)
        print("\n".join(each.reason for each in healths))
        return OK if all(each.good for each in healths) else FAILURE
    if args.gateway:
        health = gateway_health(gateway_settings(os.environ, {}), level)
    else:
        settings = node_settings(os.environ, {}, hostname=socket.gethostname())
        health = node_health(settings, level)
    print(health.reason)
    return OK if health.good else FAILURE


def _local(command: str, args: argparse.Namespace) -> int:
    if command == "up":
        return _up(args)
    from ddb.local.layout import load

    layout = load(local_data(os.environ, _flags(args, Command.CONTROL)))
    from ddb.local.control import Request, ask
    from ddb.local.selection import select

    names = select(layout, command, args.names)
    if not names:
        print(f"`ddb {command} all` has no process to act on. Nothing was done.")
    code = OK
    for name in names:
        reply = ask(layout.data, Request(command, name))
        print(reply.message, file=sys.stdout if reply.ok else sys.stderr, flush=True)
        code = code if reply.ok else FAILURE
    return code


def _show_status(args: argparse.Namespace) -> int:
    import datetime as dt
    import json

    from ddb.local.layout import LocalError
    from ddb.local.status_table import report

    try:
        status = _status(args)
    except LocalError as error:
        print(f"ddb: {error}", file=sys.stderr)
        return NO_STATUS
    print(json.dumps(status, indent=2) if args.json else report(status, dt.datetime.now(dt.UTC)))
    return OK if status["ready"] else NOT_READY


def _status(args: argparse.Namespace) -> dict[str, object]:
    from ddb.local.layout import is_layout, load
    from ddb.local.status import gather, gather_from

    flags = _flags(args, Command.CONTROL)
    data = local_data(os.environ, flags)
    if flags[DDB_DATA] is None and not is_layout(data) and names_cluster(os.environ):
        return gather_from(gateway_settings(os.environ, {}))
    return gather(load(data))


def _up(args: argparse.Namespace) -> int:
    import asyncio

    from ddb.local.banner import banner
    from ddb.local.control import was_killed
    from ddb.local.data_lock import data_lock
    from ddb.local.layout import plan, save
    from ddb.local.ports import check_ports
    from ddb.local.supervisor import Supervisor

    settings = local_settings(os.environ, _flags(args, Command.UP))
    data = settings.data.absolute()
    with data_lock(data):
        layout = plan(settings)
        check_ports(layout, timeout_s=_KILLED_SUPERVISOR_TIMEOUT_S if was_killed(data) else 0.0)
        save(layout)

        async def supervise() -> int:
            supervisor = Supervisor(layout, settings.passed_on, _print)
            return await supervisor.run(banner(layout.url, data))

        _print(f"Starting {layout.nodes} nodes and a gateway, with data in {data} ...")
        return asyncio.run(supervise())


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        pass  # The reader of this output has ended. The cluster continues.


def process_settings(
    arguments: Sequence[str], environ: Mapping[str, str]
) -> NodeSettings | GatewaySettings:
    """Return the settings of `ddb node ...` or `ddb gateway ...`. Raises SettingsError."""
    args = _parser().parse_args(arguments)
    read = _node_settings if args.command == "node" else _gateway_settings
    return read(args, environ)


def up_flags(arguments: Sequence[str]) -> Flags:
    """Return the flags of `ddb up ...`."""
    return _flags(_parser().parse_args(["up", *arguments]), Command.UP)


def _node_settings(args: argparse.Namespace, environ: Mapping[str, str]) -> NodeSettings:
    return node_settings(
        environ,
        _flags(args, Command.NODE),
        hostname=socket.gethostname(),
        exit_with_parent=args.exit_with_parent,
    )


def _gateway_settings(args: argparse.Namespace, environ: Mapping[str, str]) -> GatewaySettings:
    return gateway_settings(
        environ, _flags(args, Command.GATEWAY), exit_with_parent=args.exit_with_parent
    )


def _flags(args: argparse.Namespace, command: Command) -> Flags:
    return {variable: getattr(args, variable.name) for variable in variables_of(command)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ddb",
        description="A replicated record store that survives any one failure.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ddb {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str, summary: str, variables: Sequence[Variable[object]]
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        for variable in variables:
            default = f"; default {variable.default}" if variable.default else ""
            added.add_argument(
                variable.flag,
                dest=variable.name,
                metavar=variable.metavar,
                help=f"{variable.meaning} ({variable.name} in the environment{default})",
            )
        return added

    command(
        "up", "run a whole cluster on this machine, in the foreground", variables_of(Command.UP)
    )
    for one, summary in ((Command.NODE, "run one node"), (Command.GATEWAY, "run one gateway")):
        process = command(one.value, summary, variables_of(one))
        process.add_argument(
            "--exit-with-parent",
            action="store_true",
            help="exit when standard input closes, which it does when the parent process ends",
        )
    for name, summary in _ACTIONS.items():
        action = command(name, summary, variables_of(Command.CONTROL))
        action.add_argument("names", metavar="NAME", nargs="+", help="db-0, ..., gateway, or all")
    status = command(
        "status",
        "show the local cluster; without one, the cluster that DB_N or DDB_NODES names",
        variables_of(Command.CONTROL),
    )
    status.add_argument("--json", action="store_true", help="print JSON, for programs")
    status.epilog = (
        "exit code: 0 ready, also if no further node may fail; 1 not ready; 2 no cluster to ask"
    )
    health = command(
        "health",
        "report whether the node that the environment names is healthy; without one, whether all"
        " processes of the local cluster are",
        variables_of(Command.CONTROL),
    )
    health.add_argument("--gateway", action="store_true", help="report on the gateway alone")
    levels = health.add_mutually_exclusive_group()
    for level, meaning in _LEVELS.items():
        levels.add_argument(
            f"--{level}", dest="level", action="store_const", const=level, help=meaning
        )
    health.set_defaults(level="working")
    return parser
