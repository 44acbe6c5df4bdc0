"""The echo as a target: the limit of any HTTP service."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.targets.target import NotInstalled, end, spawn, wait_for_answer
from bench.targets.users_api import UsersApiDialect
from bench.users import User
from bench.workload import Operation
from tests.cluster import environment, free_ports


class Echo:
    """One process of Starlette on uvicorn. It answers and stores nothing."""

    name = "echo"
    durability = "not stored"
    operations = frozenset({Operation.GET, Operation.PUT})
    dialect = UsersApiDialect()

    def __init__(self, directory: Path) -> None:
        self._log = directory / "echo.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """See `Target.host`."""
        return f"127.0.0.1:{self._port}"

    @property
    def roots(self) -> list[int]:
        """See `Target.roots`."""
        return [] if self._process is None else [self._process.pid]

    def version(self) -> str:
        """See `Target.version`."""
        return f"starlette {version('starlette')}, uvicorn {version('uvicorn')}"

    def start(self) -> None:
        """See `Target.start`."""
        if importlib.util.find_spec("starlette") is None:
            raise NotInstalled("starlette is not installed: pip install -r bench/requirements.txt")
        self._port = free_ports(1)
        self._process = spawn(
            [sys.executable, "-m", "bench.targets.echo_app", str(self._port)],
            self._log,
            environ=environment(),
        )
        wait_for_answer(self._process, f"http://{self.host}/api/users/ada", self._log)

    def load(self, users: Sequence[User]) -> None:
        """Do nothing, because the echo stores nothing."""
        del users

    def places(self, users: Sequence[User], count: int) -> list[str]:
        """Return no places, because the echo does not list."""
        del users, count
        return []

    def stop(self) -> None:
        """See `Target.stop`."""
        end(self._process)
