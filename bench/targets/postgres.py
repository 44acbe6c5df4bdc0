"""A PostgreSQL primary with a synchronous standby, below one directory."""

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

from bench.machine import first_line_of
from bench.targets.target import NotInstalled, TargetFailed, end, spawn
from tests.cluster import free_ports, wait_for

USER = "postgres"
_SCHEMA = (
    "CREATE TABLE users (id text PRIMARY KEY, name text NOT NULL, email text NOT NULL,"
    ' "group" bigint NOT NULL)'
)
# All other settings keep their defaults: fsync, full_page_writes and synchronous_commit are on.
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 50
"""
_START_TIMEOUT_S = 30.0
"""Time for a server to start. Lower: a busy machine ends the benchmark."""


class Postgres:
    """Two servers. A commit returns when both have flushed it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: list[subprocess.Popen[bytes]] = []
        self._port = 0

    @property
    def dsn(self) -> str:
        """The connection string of the primary."""
        return self._dsn(self._port)

    def _dsn(self, port: int) -> str:
        return f"postgresql://{USER}@127.0.0.1:{port}/postgres"

    @property
    def roots(self) -> list[int]:
        """The process ids of the two postmasters, the parents of all others."""
        return [server.pid for server in self._servers]

    @staticmethod
    def version() -> str:
        """Return the version that PostgreSQL prints."""
        return first_line_of(str(_programs() / "postgres"), "--version")

    def start(self) -> None:
        """Start both servers. Raises `NotInstalled` and `TargetFailed`."""
        programs = _programs()
        _hand_over(self._directory)
        self._port = free_ports(2)
        primary, standby = self._directory / "primary", self._directory / "standby"
        _do(programs / "initdb", "-D", primary, "-U", USER, "-A", "trust", "--locale=C.UTF-8")
        with (primary / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        self._serve(programs, primary, self._port)
        self.ask(_SCHEMA)
        _do(programs / "pg_basebackup", "-R", "-c", "fast", "-D", standby, "-d", self.dsn)
        self._serve(programs, standby, self._port + 1)
        self.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.ask("SELECT pg_reload_conf()")
        state = "SELECT sync_state FROM pg_stat_replication"
        if not wait_for(lambda: self.ask(state) == "sync", _START_TIMEOUT_S):
            raise TargetFailed(
                f"the standby is not synchronous after {_START_TIMEOUT_S:.0f} s, but"
                f" {self.ask(state) or 'absent'}"
            )

    def ask(self, query: str) -> str:
        """Run a query on the primary and return its output."""
        return _do(_programs() / "psql", "-XAtq", "-d", self.dsn, "-c", query)

    def load(self, table: bytes) -> None:
        """Copy rows of tab-separated text into the table."""
        _do(_programs() / "psql", "-Xq", "-d", self.dsn, "-c", "COPY users FROM stdin", text=table)
        self.ask("VACUUM ANALYZE users")
        self.ask("CHECKPOINT")

    def _serve(self, programs: Path, data: Path, port: int) -> None:
        log = data.with_suffix(".log")
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
        server = spawn(command, log, user=_account())
        self._servers.append(server)
        ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        deadline = time.monotonic() + _START_TIMEOUT_S
        while subprocess.run(ready, check=False).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                raise TargetFailed(f"PostgreSQL did not start:\n{log.read_text()[-1500:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop both servers."""
        # SIGTERM waits for clients, and none remain. A stopping primary also waits until the
        # standby has received everything, so the primary stops first.
        for server in self._servers:
            end(server)


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs. Raises `NotInstalled`."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not debian:
        raise NotInstalled("PostgreSQL is not installed. On Debian: apt-get install postgresql")
    return debian[-1].parent


def _account() -> str | None:
    """Return the account that runs the servers. Raises `NotInstalled`.

    None: the account of this process. PostgreSQL refuses to run as root.
    """
    if os.geteuid():
        return None
    try:
        pwd.getpwnam(USER)
    except KeyError:
        raise NotInstalled(
            f"PostgreSQL refuses to run as root, and there is no account {USER}"
        ) from None
    return USER


def _hand_over(directory: Path) -> None:
    """Give a directory to the account of the servers."""
    account = _account()
    if account is not None:
        shutil.chown(directory, account)
        directory.parent.chmod(0o711)


def _do(program: Path, *arguments: str | Path, text: bytes | None = None) -> str:
    """Run one of PostgreSQL's programs and return its output. Raises `TargetFailed`."""
    account = _account()
    done = subprocess.run(
        [str(program), *map(str, arguments)],
        capture_output=True,
        check=False,
        cwd="/",
        input=text,
        user=account,
        group=account,
        extra_groups=None if account is None else [],
        timeout=120,
    )
    if done.returncode:
        raise TargetFailed(f"{program.name} failed: {done.stderr.decode(errors='replace')[-1500:]}")
    return done.stdout.decode().strip()
