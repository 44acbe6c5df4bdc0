"""How other commands reach a running supervisor: one JSON line each way over a Unix socket."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from ddb.local.layout import LocalError

_SOCKET = "control.sock"
_PATIENCE = 60.0
_REPLY_BYTES = 1 << 20
_GOING = threading.Lock()
"""A process has one working directory, whatever its threads ask for."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: an action, and the process it is about ("" where about all)."""

    action: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """One process as the supervisor knows it."""

    pid: int | None
    process: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Whether it was done, a sentence for the person who asked, and the processes if asked for."""

    ok: bool
    message: str
    processes: dict[str, Found] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Reply]]


def abandoned(data: Path) -> bool:
    """Whether the last supervisor ended without tidying up. Only meaningful under the claim."""
    return (data / _SOCKET).exists()


async def serve(data: Path, handle: Handler) -> asyncio.Server:
    """Listen for requests; the caller holds the claim on the directory."""
    listener = _listener(data)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = _request(await reader.readline())
            reply = await handle(request) if request else Reply(ok=False, message="What?")
            writer.write(_line(reply))
            await writer.drain()
        except (ConnectionError, ValueError):
            pass  # Who asked has gone, or said more than a request takes.
        finally:
            writer.close()

    return await asyncio.start_unix_server(answer, sock=listener)


def _listener(data: Path) -> socket.socket:
    retire(data)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The path in a socket's address has room for some hundred bytes; a directory's has not that
    # limit, so the address is relative to it.
    with contextlib.chdir(data):
        listener.bind(_SOCKET)
        Path(_SOCKET).chmod(0o600)
    return listener


def retire(data: Path) -> None:
    """Take the socket away after the last request."""
    (data / _SOCKET).unlink(missing_ok=True)


def ask(data: Path, request: Request) -> Reply:
    """Ask the running supervisor. Raises LocalError where none answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE)
        try:
            # A socket's path may have a hundred bytes, and a directory's has often more.
            with _GOING, contextlib.chdir(data):
                connection.connect(_SOCKET)
            connection.sendall(
                json.dumps({"action": request.action, "name": request.name}).encode() + b"\n"
            )
            with connection.makefile("rb") as stream:
                line = stream.readline(_REPLY_BYTES)
        except (FileNotFoundError, ConnectionRefusedError):
            raise LocalError(
                f"The cluster in {data} is not running. `ddb up --data {data}` starts it."
            ) from None
        except OSError as error:
            raise LocalError(
                f"The `ddb up` of {data} does not answer ({error}). Look at its terminal."
            ) from error
    return _reply(line)


def _request(line: bytes) -> Request | None:
    try:
        match json.loads(line):
            case {"action": str(action), "name": str(name)}:
                return Request(action, name)
    except (ValueError, RecursionError):
        pass
    return None


def _line(reply: Reply) -> bytes:
    processes = {
        name: {"pid": found.pid, "process": found.process}
        for name, found in reply.processes.items()
    }
    answer = {"ok": reply.ok, "message": reply.message, "processes": processes}
    return json.dumps(answer).encode() + b"\n"


def _reply(line: bytes) -> Reply:
    try:
        match json.loads(line):
            case {"ok": bool(ok), "message": str(message), "processes": dict(processes)}:
                return Reply(
                    ok,
                    message,
                    {
                        str(name): Found(each["pid"], each["process"])
                        for name, each in processes.items()
                    },
                )
    except ValueError:
        pass
    raise LocalError("The `ddb up` of this cluster ended before it answered. Look at its terminal.")
