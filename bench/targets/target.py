"""What the benchmark needs of a system, whichever it is."""

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
_STOPPING = 20.0
_GROWING = 0.02


class Missing(Exception):
    """A system is not installed here; the message says what is missing and how to get it."""


class Failed(Exception):
    """A system did not start or does not do what it is measured for."""


class Target(Protocol):
    """One system under load."""

    name: str
    durability: str
    """When a write is answered, in a few words."""
    operations: frozenset[Operation]

    @property
    def dialect(self) -> Dialect:
        """How it is asked."""
        ...

    @property
    def host(self) -> str:
        """Where it answers: "127.0.0.1:8080"."""
        ...

    @property
    def roots(self) -> list[int]:
        """The ids of its processes, or of those that all others descend from."""
        ...

    def version(self) -> str:
        """Its software, for the report."""
        ...

    def start(self) -> None:
        """Start it empty, and wait until it answers. Raises Missing and Failed."""
        ...

    def load(self, users: Sequence[User]) -> None:
        """Put the users there. Raises Failed."""
        ...

    def places(self, users: Sequence[User], count: int) -> list[str]:
        """Where pages can start, spread over all users, as `Dialect.page` takes them."""
        ...

    def stop(self) -> None:
        """End all its processes."""
        ...


def spawn(
    command: Sequence[str],
    log: Path,
    *,
    environ: Mapping[str, str] | None = None,
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that writes to a log. Raises Missing."""
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
            raise Missing(f"{command[0]} is not installed") from error


def until(process: subprocess.Popen[bytes], url: str, log: Path, seconds: float = 30) -> None:
    """Wait until `url` answers 2xx. Raises Failed where the process ends or takes longer."""
    deadline = time.monotonic() + seconds
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace")[-1500:]
            raise Failed(f"{process.args!r} does not answer at {url}:\n{said}")
        time.sleep(_GROWING)


def answers(url: str) -> bool:
    """Whether `url` answers 2xx now."""
    try:
        fetch(url)
    except OSError:
        return False
    return True


def fetch(url: str, body: bytes | None = None) -> bytes:
    """The answer to a GET, or with a body to a POST. Raises OSError."""
    with urllib.request.urlopen(url, data=body, timeout=5) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content


def end_in_order() -> None:
    """Let SIGTERM end this program as an exception does, so that it stops what it has started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def end(process: subprocess.Popen[bytes] | None) -> None:
    """Terminate a process and wait for its end; after a while, kill it."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOPPING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
