"""FastAPI in front of PostgreSQL as a target."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.targets.postgres import Postgres
from bench.targets.target import NotInstalled, TargetFailed, end, spawn, wait_for_answer
from bench.targets.users_api import UsersApiDialect
from bench.users import User
from bench.workload import Operation
from tests.cluster import environment, free_ports


class FastApi:
    """One process of FastAPI with asyncpg, and two PostgreSQL servers."""

    name = "fastapi"
    durability = "primary and synchronous standby, fsync on both"
    operations = frozenset(Operation)
    dialect = UsersApiDialect()

    def __init__(self, directory: Path) -> None:
        self._log = directory / "fastapi.log"
        self._postgres = Postgres(directory)
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """See `Target.host`."""
        return f"127.0.0.1:{self._port}"

    @property
    def roots(self) -> list[int]:
        """See `Target.roots`."""
        app = [] if self._process is None else [self._process.pid]
        return [*app, *self._postgres.roots]

    def version(self) -> str:
        """See `Target.version`."""
        return f"fastapi {version('fastapi')}, asyncpg {version('asyncpg')}, {Postgres.version()}"

    def start(self) -> None:
        """See `Target.start`."""
        for needed in ("fastapi", "asyncpg"):
            if importlib.util.find_spec(needed) is None:
                raise NotInstalled(
                    f"{needed} is not installed: pip install -r bench/requirements.txt"
                )
        self._postgres.start()
        self._port = free_ports(1)
        self._process = spawn(
            [
                *(sys.executable, "-m", "bench.targets.fastapi_app"),
                *(str(self._port), self._postgres.dsn),
            ],
            self._log,
            environ=environment(),
        )
        wait_for_answer(self._process, f"http://{self.host}/api/users/count", self._log)

    def load(self, users: Sequence[User]) -> None:
        """See `Target.load`. The users go straight to PostgreSQL."""
        rows = (f"{user.id}\t{user.name}\t{user.email}\t{user.group}\n" for user in users)
        self._postgres.load("".join(rows).encode())
        counted = self._postgres.ask("SELECT count(*) FROM users")
        if int(counted) != len(users):
            raise TargetFailed(f"PostgreSQL has {counted} of {len(users)} users after loading")

    def places(self, users: Sequence[User], count: int) -> list[str]:
        """See `Target.places`."""
        return [user.id for user in users[:: max(1, len(users) // count)]]

    def stop(self) -> None:
        """See `Target.stop`."""
        end(self._process)
        self._postgres.stop()
