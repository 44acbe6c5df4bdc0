"""The bare echo as a target."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.targets.rest import Rest
from bench.targets.target import Missing, end, spawn, until
from bench.users import User
from bench.workload import Operation
from tests.cluster import environment, free_ports


class Echo:
    """One process of Starlette on uvicorn that answers without keeping anything."""

    name = "echo"
    durability = "keeps nothing"
    operations = frozenset({Operation.GET, Operation.PUT})
    dialect = Rest()

    def __init__(self, directory: Path) -> None:
        self._log = directory / "echo.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """As `Target.host`."""
        return f"127.0.0.1:{self._port}"

    @property
    def roots(self) -> list[int]:
        """As `Target.roots`."""
        return [] if self._process is None else [self._process.pid]

    def version(self) -> str:
        """As `Target.version`."""
        return f"starlette {version('starlette')}, uvicorn {version('uvicorn')}"

    def start(self) -> None:
        """As `Target.start`."""
        if importlib.util.find_spec("starlette") is None:
            raise Missing("starlette is not installed: pip install -r bench/requirements.txt")
        self._port = free_ports(1)
        self._process = spawn(
            [sys.executable, "-m", "bench.targets.echo_app", str(self._port)],
            self._log,
            environ=environment(),
        )
        until(self._process, f"http://{self.host}/api/users/ada", self._log)

    def load(self, users: Sequence[User]) -> None:
        """Nothing to do: it keeps nothing."""
        del users

    def places(self, users: Sequence[User], count: int) -> list[str]:
        """None: it does not list."""
        del users, count
        return []

    def stop(self) -> None:
        """As `Target.stop`."""
        end(self._process)
