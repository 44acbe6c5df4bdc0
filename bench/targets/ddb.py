"""ddb as a target: a cluster that `ddb up` starts."""

import random
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec

import ddb
from bench.targets.target import TargetFailed
from bench.targets.users_api import UsersApiDialect
from bench.users import User
from bench.workload import Operation, load
from bench.wrk import LOADING_CONNECTIONS, Wrk
from ddb.settings import Fsync
from tests.cluster import Cluster

CHUNK = 100_000
"""Users of one loading plan.

Lower: more starts of wrk. Higher: more memory, because wrk reads the whole plan.
"""
ATTEMPTS = 5
"""Rounds of loading; each sends the users that are missing after the one before."""
PREPARATION_TIMEOUT_S = 10.0
"""Time for a request outside of the measurement. Lower: a busy machine ends the benchmark."""


class Ddb:
    """Nodes and a gateway on free ports, with data in one directory."""

    dialect = UsersApiDialect()

    def __init__(
        self,
        directory: Path,
        nodes: int = 3,
        fsync: Fsync = Fsync.ALWAYS,
        name: str = "ddb",
        operations: frozenset[Operation] = frozenset(Operation),
    ) -> None:
        self.name = name
        self.operations = operations
        self.durability = {
            Fsync.ALWAYS: "two nodes, fsync on both",
            Fsync.OS: "two nodes, page cache of both",
        }[fsync]
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.cluster = Cluster(directory, nodes, DDB_FSYNC=fsync.value)

    @property
    def host(self) -> str:
        """See `Target.host`."""
        return f"127.0.0.1:{self.cluster.port}"

    @property
    def roots(self) -> list[int]:
        """See `Target.roots`. The supervisor is the parent of all other processes."""
        return [self.cluster.pid]

    def version(self) -> str:
        """See `Target.version`."""
        return f"ddb {ddb.__version__}"

    def start(self) -> None:
        """See `Target.start`."""
        self.cluster.start()

    def load(self, users: Sequence[User]) -> None:
        """See `Target.load`."""
        wrk, missing = Wrk.find(), list(users)
        for _ in range(ATTEMPTS):
            for start in range(0, len(missing), CHUNK):
                part = load(self.dialect, missing[start : start + CHUNK])
                wrk.run(part, self.host, connections=LOADING_CONNECTIONS)
            if self._count() == len(users):
                return
            # Loading is full load. On a busy machine some requests expire.
            stored = self._ids()
            missing = [user for user in users if user.id not in stored]
        raise TargetFailed(
            f"{self.name}: {len(missing)} of {len(users)} users are missing after {ATTEMPTS}"
            " attempts; measure again on an idle machine"
        )

    def start_with(self, users: Sequence[User]) -> None:
        """Start the cluster and load the users. Raises `TargetFailed`.

        The cluster loads without fsync, which saves minutes per million users. It then restarts
        with its own settings. A clean stop leaves everything on disk under any setting.
        """
        loader = Ddb(self._directory, self.cluster.nodes, Fsync.OS, self.name)
        try:
            loader.start()
            loader.load(users)
        finally:
            loader.stop()
        self.start()

    def _ids(self) -> set[str]:
        """Return the ids of all users, read page by page."""
        found, path = set[str](), "/api/users/?limit=200"
        while path:
            body, path = self._get(path)
            found.update(each.id for each in msgspec.json.decode(body, type=list[User]))
        return found

    def _count(self) -> int:
        body, _ = self._get("/api/users/count")
        return msgspec.json.decode(body, type=dict[str, int])["count"]

    def places(self, users: Sequence[User], count: int) -> list[str]:
        """See `Target.places`. A place is a cursor, from the link of a page at some offset."""
        found = []
        for _ in range(count):
            offset = random.randrange(max(1, len(users) - 200))
            _, link = self._get(f"/api/users/?limit=1&offset={offset}")
            found.append(parse_qs(urlsplit(link).query)["after"][0])
        return found

    def _get(self, path: str) -> tuple[bytes, str]:
        """Return the answer to a GET and the next page's path. Raises `TargetFailed`.

        The request is repeated until `PREPARATION_TIMEOUT_S`, because some requests expire on a
        busy machine.
        """
        deadline = time.monotonic() + PREPARATION_TIMEOUT_S
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.host}{path}", timeout=5) as answer:
                    link = str(answer.headers.get("link", ""))
                    return answer.read(), link.partition(">")[0].removeprefix("<")
            except OSError as error:
                if time.monotonic() > deadline:
                    raise TargetFailed(f"{self.name}: GET {path} failed: {error}") from error
            time.sleep(0.05)

    def stop(self) -> None:
        """See `Target.stop`."""
        self.cluster.stop()
