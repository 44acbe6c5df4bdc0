"""A PostgreSQL primary with a synchronous standby, in a directory of its own."""

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

from bench.machine import said_by
from bench.targets.target import Failed, Missing, end, spawn
from tests.cluster import free_ports, wait_for

USER = "postgres"
_SCHEMA = (
    "CREATE TABLE users (id text PRIMARY KEY, name text NOT NULL, email text NOT NULL,"
    ' "group" bigint NOT NULL)'
)
# The rest is as PostgreSQL comes: fsync, full_page_writes and synchronous_commit are on.
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 50
"""
_STARTING = 30.0


class Postgres:
    """Two servers. A commit is answered when both have flushed it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: list[subprocess.Popen[bytes]] = []
        self._port = 0

    @property
    def dsn(self) -> str:
        """How to connect to the primary."""
        return self._dsn(self._port)

    def _dsn(self, port: int) -> str:
        return f"postgresql://{USER}@127.0.0.1:{port}/postgres"

    @property
    def roots(self) -> list[int]:
        """The two postmasters; every other process is a child of one."""
        return [server.pid for server in self._servers]

    @staticmethod
    def version() -> str:
        """As PostgreSQL names itself."""
        return said_by(str(_programs() / "postgres"), "--version")

    def start(self) -> None:
        """Start both. Raises Missing and Failed."""
        programs = _programs()
        _give(self._directory)
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
        if not wait_for(lambda: self.ask(state) == "sync", _STARTING):
            raise Failed(f"the standby does not become synchronous: {self.ask(state) or 'absent'}")

    def ask(self, query: str) -> str:
        """One query on the primary, by psql."""
        return _do(_programs() / "psql", "-XAtq", "-d", self.dsn, "-c", query)

    def load(self, table: bytes) -> None:
        """Copy rows of tab-separated text into the table, and let vacuum see them."""
        _do(_programs() / "psql", "-Xq", "-d", self.dsn, "-c", "COPY users FROM stdin", text=table)
        self.ask("VACUUM ANALYZE users")
        self.ask("CHECKPOINT")

    def _serve(self, programs: Path, data: Path, port: int) -> None:
        log = data.with_suffix(".log")
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
        server = spawn(command, log, user=_account())
        self._servers.append(server)
        ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        deadline = time.monotonic() + _STARTING
        while subprocess.run(ready, check=False).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"PostgreSQL does not start:\n{log.read_text()[-1500:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End both."""
        # SIGTERM waits for clients, of which there are none any more; the primary waits for the
        # standby to have everything, so it goes first.
        for server in self._servers:
            end(server)


def _programs() -> Path:
    """Where PostgreSQL's programs are. Raises Missing."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not debian:
        raise Missing("PostgreSQL is not installed. On Debian: apt-get install postgresql")
    return debian[-1].parent


def _account() -> str | None:
    """Whose processes the servers are: PostgreSQL refuses to run as root. Raises Missing."""
    if os.geteuid():
        return None
    try:
        pwd.getpwnam(USER)
    except KeyError:
        raise Missing(f"PostgreSQL does not run as root, and there is no user {USER}") from None
    return USER


def _give(directory: Path) -> None:
    account = _account()
    if account is not None:
        shutil.chown(directory, account)
        directory.parent.chmod(0o711)


def _do(program: Path, *arguments: str | Path, text: bytes | None = None) -> str:
    """Run one of PostgreSQL's programs to its end. Raises Failed."""
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
        raise Failed(f"{program.name} failed: {done.stderr.decode(errors='replace')[-1500:]}")
    return done.stdout.decode().strip()
