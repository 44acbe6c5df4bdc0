"""The control socket between other commands and the supervisor."""

import asyncio
import socket
from contextlib import chdir
from pathlib import Path

import pytest

from ddb.local.control import ProcessInfo, Reply, Request, ask, remove_socket, serve
from ddb.local.layout import LocalError


async def echo(request: Request) -> Reply:
    return Reply(
        ok=True, message=request.action, processes={request.name: ProcessInfo(7, "running")}
    )


def exchange(data: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        with chdir(data):
            connection.connect("control.sock")
        connection.sendall(line)
        with connection.makefile("rb") as stream:
            return stream.readline()


def test_request_and_reply_under_a_long_path(tmp_path: Path) -> None:
    """Requests work below a data directory whose path is longer than a socket's address."""
    data = tmp_path / ("d" * 120) / ("e" * 120)
    data.mkdir(parents=True)

    async def talk() -> Reply:
        async with await serve(data, echo):
            return await asyncio.to_thread(ask, data, Request("kill", "db-1"))

    assert asyncio.run(talk()) == Reply(True, "kill", {"db-1": ProcessInfo(7, "running")})


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"nonsense\n", b"\xff\n", b"[" * 60_000 + b"\n"])
def test_invalid_line_gets_an_error(tmp_path: Path, line: bytes) -> None:
    """An invalid line gets an error with the remedy; later requests work."""

    async def talk() -> tuple[bytes, Reply]:
        async with await serve(tmp_path, echo):
            answer = await asyncio.to_thread(exchange, tmp_path, line)
            return answer, await asyncio.to_thread(ask, tmp_path, Request("list"))

    answer, later = asyncio.run(talk())
    assert b'"ok": false' in answer
    assert b"no data is affected. Send one line of JSON" in answer
    assert later.ok


def test_only_the_owner_may_ask(tmp_path: Path) -> None:
    """Other users of the machine cannot connect to the socket."""

    async def mode() -> int:
        async with await serve(tmp_path, echo):
            return (tmp_path / "control.sock").stat().st_mode & 0o777

    assert asyncio.run(mode()) == 0o600


def test_missing_supervisor_is_reported(tmp_path: Path) -> None:
    """Without a supervisor the error names `ddb up`, also where a stale socket remains."""
    with pytest.raises(LocalError, match="is not running"):
        ask(tmp_path, Request("list"))
    with socket.socket(socket.AF_UNIX) as stale, chdir(tmp_path):
        stale.bind("control.sock")
    with pytest.raises(LocalError, match="is not running"):
        ask(tmp_path, Request("list"))
    remove_socket(tmp_path)
    remove_socket(tmp_path)
