"""The control socket: other commands send requests to a running supervisor.

Each connection carries one request and one reply, each a line of JSON, over a Unix socket.
"""

import asyncio
import contextlib
import json
import shlex
import socket
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from ddb.local.layout import LocalError

_SOCKET_FILE = "control.sock"
_REPLY_TIMEOUT_S = 60.0
"""Too low: `ddb start` of a slow node fails. Too high: a frozen supervisor blocks the command."""
_MAX_REPLY_BYTES = 1 << 20
_CHDIR_LOCK = threading.Lock()
"""Serializes changes of the working directory, which all threads of a process share."""


@dataclass(frozen=True, slots=True)
class Request:
    """One action on one process; `name` is "" for an action on the whole cluster."""

    action: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """The pid and state of one process; `pid` is None if it does not run."""

    pid: int | None
    process: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of a request.

    Args:
        ok: True if the action succeeded; False if it failed or was refused.
        message: a text for the user.
        processes: every process by name, for the action "list".
    """

    ok: bool
    message: str
    processes: dict[str, ProcessInfo] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Reply]]

_INVALID = Reply(
    ok=False,
    message=(
        "The supervisor received an invalid request. Nothing was done, and no data is affected."
        " Send one line of JSON with `action` and `name`, or use the `ddb` command."
    ),
)


def was_killed(data: Path) -> bool:
    """Return whether the last supervisor left its socket. The caller has the data lock."""
    return (data / _SOCKET_FILE).exists()


async def serve(data: Path, handle: Handler) -> asyncio.Server:
    """Serve requests on the control socket. The caller has the data lock."""
    listener = _listener(data)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = _decode_request(await reader.readline())
            reply = await handle(request) if request else _INVALID
            writer.write(_encode_reply(reply))
            await writer.drain()
        except (ConnectionError, ValueError):
            pass  # The client has closed the connection, or its line exceeds the limit.
        finally:
            writer.close()

    return await asyncio.start_unix_server(answer, sock=listener)


def _listener(data: Path) -> socket.socket:
    remove_socket(data)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The address of a Unix socket takes about 100 bytes, less than many paths. A relative address
    # always fits.
    with contextlib.chdir(data):
        listener.bind(_SOCKET_FILE)
        Path(_SOCKET_FILE).chmod(0o600)
    return listener


def remove_socket(data: Path) -> None:
    """Remove the socket after the last request."""
    (data / _SOCKET_FILE).unlink(missing_ok=True)


def ask(data: Path, request: Request) -> Reply:
    """Send a request to the running supervisor. Raises LocalError if none replies."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_REPLY_TIMEOUT_S)
        try:
            # A relative address, for the reason in `_listener`.
            with _CHDIR_LOCK, contextlib.chdir(data):
                connection.connect(_SOCKET_FILE)
            connection.sendall(
                json.dumps({"action": request.action, "name": request.name}).encode() + b"\n"
            )
            with connection.makefile("rb") as stream:
                line = stream.readline(_MAX_REPLY_BYTES)
        except (FileNotFoundError, ConnectionRefusedError):
            raise LocalError(
                f"The cluster in {data} is not running. Its data is unchanged."
                f" `ddb up --data {shlex.quote(str(data))}` starts it."
            ) from None
        except OSError as error:
            raise LocalError(
                f"The `ddb up` of {data} does not reply ({error}). The action may have taken"
                " effect; no data is affected. Check the terminal of `ddb up`, and `ddb status`."
            ) from error
    return _decode_reply(line)


def _decode_request(line: bytes) -> Request | None:
    """Return the request, or None if the line is invalid."""
    try:
        match json.loads(line):
            case {"action": str(action), "name": str(name)}:
                return Request(action, name)
    except (ValueError, RecursionError):
        pass
    return None


def _encode_reply(reply: Reply) -> bytes:
    processes = {
        name: {"pid": info.pid, "process": info.process} for name, info in reply.processes.items()
    }
    document = {"ok": reply.ok, "message": reply.message, "processes": processes}
    return json.dumps(document).encode() + b"\n"


def _decode_reply(line: bytes) -> Reply:
    try:
        match json.loads(line):
            case {"ok": bool(ok), "message": str(message), "processes": dict(processes)}:
                return Reply(
                    ok,
                    message,
                    {
                        str(name): ProcessInfo(each["pid"], each["process"])
                        for name, each in processes.items()
                    },
                )
    except ValueError:
        pass
    raise LocalError(
        "The `ddb up` of this cluster ended before it replied. The action may have taken effect;"
        " acknowledged writes are safe. Check the terminal of `ddb up`, then start it again."
    )
