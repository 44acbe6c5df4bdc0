"""The port between the benchmark and a measured system."""

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bench.users import User
from bench.workload import Dialect, Operation

ROOT = Path(__file__).parent.parent.parent
_STOP_TIMEOUT_S = 20.0
"""Time between SIGTERM and SIGKILL. Lower: a slow system has no clean stop."""
_POLL_S = 0.02
"""Pause between two attempts to reach a starting system."""


class NotInstalled(Exception):
    """A part of a system is missing; the message names the remedy."""


class TargetFailed(Exception):
    """A system did not start, or does not work correctly."""


class Target(Protocol):
    """One system under load."""

    name: str
    durability: str
    """The copies that store a write before its answer, for the report."""
    operations: frozenset[Operation]

    @property
    def dialect(self) -> Dialect:
        """The requests that the system understands."""
        ...

    @property
    def host(self) -> str:
        """The address that takes requests, such as "127.0.0.1:8080"."""
        ...

    @property
    def roots(self) -> list[int]:
        """Process ids. Every process of the system is one of these or descends from one."""
        ...

    def version(self) -> str:
        """Return names and versions of the software for the report."""
        ...

    def start(self) -> None:
        """Start without users and wait for an answer. Raises `NotInstalled` and `TargetFailed`."""
        ...

    def load(self, users: Sequence[User]) -> None:
        """Store the users. Raises `TargetFailed`."""
        ...

    def places(self, users: Sequence[User], count: int) -> list[str]:
        """Return about `count` starts of pages for `Dialect.page`.

        The pages are spread over all users.
        """
        ...

    def stop(self) -> None:
        """End all processes of the system."""
        ...


def spawn(
    command: Sequence[str],
    log: Path,
    *,
    environ: Mapping[str, str] | None = None,
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process. Raises `NotInstalled`.

    Args:
        command: The program and its arguments.
        log: The file that receives the output.
        environ: The environment; None: that of this process.
        user: The account and group of the process; None: those of this process.
    """
    with log.open("ab") as output:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environ,
                cwd=ROOT if user is None else "/",
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )
        except FileNotFoundError as error:
            raise NotInstalled(f"{command[0]} is not installed") from error


def wait_for_answer(
    process: subprocess.Popen[bytes], url: str, log: Path, seconds: float = 30
) -> None:
    """Wait until `url` answers 2xx.

    Raises `TargetFailed` if the process ends first, or after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            output = log.read_text(encoding="utf-8", errors="replace")[-1500:]
            raise TargetFailed(f"{process.args!r} does not answer at {url}:\n{output}")
        time.sleep(_POLL_S)


def answers(url: str) -> bool:
    """Return whether `url` answers 2xx now."""
    try:
        fetch(url)
    except OSError:
        return False
    return True


def fetch(url: str, body: bytes | None = None) -> bytes:
    """Send a GET, or a POST if there is a body. Raises `OSError`."""
    with urllib.request.urlopen(url, data=body, timeout=5) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content


def end_in_order() -> None:
    """Turn SIGTERM into `SystemExit`.

    This program then stops the processes that it started.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def end(process: subprocess.Popen[bytes] | None) -> None:
    """Terminate a process; kill it after `_STOP_TIMEOUT_S`."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
