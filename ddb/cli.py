"""The `ddb` command: one process, a local cluster of them, and looking at one."""

import argparse
import os
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ddb import __version__
from ddb import settings as known
from ddb.settings import GatewaySettings, NodeSettings, SettingsError, Variable

OK = 0
FAILURE = 1
USAGE = 2

_UP = (
    known.DB_N,
    known.PORT,
    known.DDB_DATA,
    known.DDB_HOST,
    known.DDB_FSYNC,
    known.DDB_REQUEST_BUDGET_MS,
)
_NODE = (
    known.DDB_NAME,
    known.DDB_HOST,
    known.DB_PORT,
    known.DDB_DATA,
    known.DDB_NODES,
    known.DB_N,
    known.DDB_FSYNC,
    known.DDB_LOG_FILE,
    known.DDB_REQUEST_BUDGET_MS,
)
_GATEWAY = (
    known.DDB_HOST,
    known.PORT,
    known.DDB_NODES,
    known.DB_N,
    known.DDB_LOG_FILE,
    known.DDB_REQUEST_BUDGET_MS,
    known.DDB_HTTP_LANE,
)
_ACTIONS = {
    "stop": "end a process of the local cluster in good order (SIGTERM)",
    "kill": "end a process of the local cluster on the spot (SIGKILL)",
    "pause": "freeze a process of the local cluster (SIGSTOP)",
    "resume": "let a paused process run on (SIGCONT)",
    "start": "start a stopped process again",
}
_LEVELS = {
    "alive": "that it answers is enough",
    "working": "a node votes or is being refilled; a gateway reaches enough nodes (default)",
    "voting": "a node must vote",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 asked for wrongly."""
    said = _parser().parse_args(arguments)
    try:
        return _run(said)
    except SettingsError as error:
        print(f"ddb: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return FAILURE


def _run(said: argparse.Namespace) -> int:
    # Each command imports what it needs itself, so that none waits for another's libraries.
    match said.command:
        case "node":
            return _node(said)
        case "gateway":
            return _gateway(said)
        case "health":
            return _health(said)
        case command:
            from ddb.local.layout import LocalError

            try:
                return _local(command, said)
            except LocalError as error:
                print(f"ddb: {error}", file=sys.stderr)
                return FAILURE


def _node(said: argparse.Namespace) -> int:
    settings = _node_settings(said, os.environ)
    from ddb.node.process import run

    return run(settings)


def _gateway(said: argparse.Namespace) -> int:
    settings = _gateway_settings(said, os.environ)
    from ddb.gateway.process import run

    return run(settings)


def _health(said: argparse.Namespace) -> int:
    from ddb.local.health import Level, gateway_health, node_health

    level = Level(said.level)
    if said.gateway:
        health = gateway_health(known.gateway_settings(os.environ, {}), level)
    else:
        hostname = socket.gethostname()
        health = node_health(known.node_settings(os.environ, {}, hostname=hostname), level)
    print(health.reason)
    return OK if health.good else FAILURE


def _local(command: str, said: argparse.Namespace) -> int:
    if command == "up":
        return _up(said)
    if command == "status":
        import json

        from ddb.local.status_table import report

        status = _status(said)
        print(json.dumps(status, indent=2) if said.json else report(status))
        return OK
    from ddb.local.layout import load

    layout = load(known.local_data(os.environ, _flags(said, (known.DDB_DATA,))))
    from ddb.local.control import Request, ask

    reply = ask(layout.data, Request(command, said.node))
    print(reply.message, file=sys.stdout if reply.ok else sys.stderr)
    return OK if reply.ok else FAILURE


def _status(said: argparse.Namespace) -> dict[str, object]:
    from ddb.local.layout import is_layout, load
    from ddb.local.status import gather, gather_from

    data = known.local_data(os.environ, _flags(said, (known.DDB_DATA,)))
    if said.DDB_DATA is None and not is_layout(data) and known.names_cluster(os.environ):
        return gather_from(known.gateway_settings(os.environ, {}))
    return gather(load(data))


def _up(said: argparse.Namespace) -> int:
    import asyncio

    from ddb.local.control import abandoned
    from ddb.local.data_lock import claimed
    from ddb.local.layout import plan, save
    from ddb.local.ports import check_ports
    from ddb.local.supervisor import Supervisor

    settings = known.local_settings(os.environ, _flags(said, _UP))
    data = settings.data.absolute()
    with claimed(data):
        layout = plan(settings)
        check_ports(layout, patience=5.0 if abandoned(data) else 0.0)
        save(layout)

        async def supervise() -> int:
            supervisor = Supervisor(layout, settings.fsync, _say, settings.request_budget_ms)
            return await supervisor.run(_banner(layout.url, data))

        _say(f"Starting {layout.nodes} nodes and a gateway, with data in {data} ...")
        return asyncio.run(supervise())


def _banner(url: str, data: Path) -> str:
    user = '{"id":"ada","name":"Ada Lovelace","email":"ada@example.com","group":1}'
    at = "" if data == Path("data").absolute() else f" --data {data}"
    return f"""
ddb is ready: {url}   (Ctrl-C stops it)

  curl -i {url}/api/users/ -d '{user}'
  curl -i {url}/api/users/ada
  curl -i {url}/api/users/count

Break it from another terminal:  {_program()} kill db-1{at}
and watch it:                    {_program()} status{at}
"""


def _program() -> str:
    """How a person in this directory calls this same installation."""
    beside = Path(sys.executable).parent / "ddb"
    if shutil.which("ddb") == str(beside):
        return "ddb"
    if not beside.exists():
        return f"{sys.executable} -m ddb"
    here = Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        pass  # Nobody reads any more; the cluster runs on.


def process_settings(
    arguments: Sequence[str], environ: Mapping[str, str]
) -> NodeSettings | GatewaySettings:
    """What `ddb node ...` or `ddb gateway ...` would run with. Raises SettingsError."""
    said = _parser().parse_args(arguments)
    read = _node_settings if said.command == "node" else _gateway_settings
    return read(said, environ)


def _node_settings(said: argparse.Namespace, environ: Mapping[str, str]) -> NodeSettings:
    return known.node_settings(
        environ,
        _flags(said, _NODE),
        hostname=socket.gethostname(),
        exit_with_parent=said.exit_with_parent,
    )


def _gateway_settings(said: argparse.Namespace, environ: Mapping[str, str]) -> GatewaySettings:
    return known.gateway_settings(
        environ, _flags(said, _GATEWAY), exit_with_parent=said.exit_with_parent
    )


def _flags(said: argparse.Namespace, variables: Sequence[Variable]) -> known.Flags:
    return {variable: getattr(said, variable.name) for variable in variables}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ddb", description="A replicated record store that answers through any one failure."
    )
    parser.add_argument("--version", action="version", version=f"ddb {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str, variables: Sequence[Variable]) -> argparse.ArgumentParser:
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

    command("up", "run a whole cluster on this machine, in the foreground", _UP)
    for name, summary, variables in (
        ("node", "run one node", _NODE),
        ("gateway", "run one gateway", _GATEWAY),
    ):
        one = command(name, summary, variables)
        one.add_argument(
            "--exit-with-parent",
            action="store_true",
            help="end when standard input is closed, as it is when the parent process ends",
        )
    for name, summary in _ACTIONS.items():
        action = command(name, summary, (known.DDB_DATA,))
        action.add_argument("node", metavar="NODE", help="db-0, db-1, ... or gateway")
    status = command(
        "status",
        "show what the local cluster is doing; where there is none, the one of DB_N or DDB_NODES",
        (known.DDB_DATA,),
    )
    status.add_argument("--json", action="store_true", help="for programs")
    health = command("health", "say whether the node beside this process is well", ())
    health.add_argument("--gateway", action="store_true", help="the gateway, not the node")
    levels = health.add_mutually_exclusive_group()
    for level, meaning in _LEVELS.items():
        levels.add_argument(
            f"--{level}", dest="level", action="store_const", const=level, help=meaning
        )
    health.set_defaults(level="working")
    return parser
