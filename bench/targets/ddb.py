"""ddb as a target: a cluster of real processes, started as a user starts it."""

import random
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec

import ddb
from bench.targets.rest import Rest
from bench.targets.target import Failed
from bench.users import User
from bench.workload import Operation, load
from bench.wrk import CROWD, Wrk
from ddb.settings import Fsync
from tests.cluster import Cluster

CHUNK = 100_000
"""Users of one loading plan, so that the load generator need not hold a million requests."""
ATTEMPTS = 5
PATIENCE = 10.0
"""Seconds for an answer that only prepares what is measured."""


class Ddb:
    """Nodes and a gateway on ports and data of their own."""

    dialect = Rest()

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
        """As `Target.host`."""
        return f"127.0.0.1:{self.cluster.port}"

    @property
    def roots(self) -> list[int]:
        """As `Target.roots`: the supervisor, whose children the others are."""
        return [self.cluster.pid]

    def version(self) -> str:
        """As `Target.version`."""
        return f"ddb {ddb.__version__}"

    def start(self) -> None:
        """As `Target.start`."""
        self.cluster.start()

    def load(self, users: Sequence[User]) -> None:
        """As `Target.load`."""
        wrk, missing = Wrk.find(), list(users)
        for _ in range(ATTEMPTS):
            for start in range(0, len(missing), CHUNK):
                part = load(self.dialect, missing[start : start + CHUNK])
                wrk.run(part, self.host, connections=CROWD)
            if self._count() == len(users):
                return
            # Loading is full load: on a busy machine some requests find no answer in time.
            there = self._ids()
            missing = [user for user in users if user.id not in there]
        raise Failed(f"{self.name}: {len(missing)} of {len(users)} users could not be loaded")

    def start_with(self, users: Sequence[User]) -> None:
        """Start with these users there. Raises Failed.

        Loaded without fsync, which for a million takes minutes less. A store that was closed in
        order has everything on disk, however it got there.
        """
        quick = Ddb(self._directory, self.cluster.nodes, Fsync.OS, self.name)
        try:
            quick.start()
            quick.load(users)
        finally:
            quick.stop()
        self.start()

    def _ids(self) -> set[str]:
        """The ids of all users, page by page."""
        found, path = set[str](), "/api/users/?limit=200"
        while path:
            body, path = self._patiently(path)
            found.update(each.id for each in msgspec.json.decode(body, type=list[User]))
        return found

    def _count(self) -> int:
        body, _ = self._patiently("/api/users/count")
        return msgspec.json.decode(body, type=dict[str, int])["count"]

    def places(self, users: Sequence[User], count: int) -> list[str]:
        """As `Target.places`: cursors, found by their offsets."""
        found = []
        for _ in range(count):
            offset = random.randrange(max(1, len(users) - 200))
            _, link = self._patiently(f"/api/users/?limit=1&offset={offset}")
            found.append(parse_qs(urlsplit(link).query)["after"][0])
        return found

    def _patiently(self, path: str) -> tuple[bytes, str]:
        """The answer to a GET, and the path of the page that follows. Raises Failed.

        Tried again for a while: on a busy machine some requests find no answer in time.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.host}{path}", timeout=5) as answer:
                    link = str(answer.headers.get("link", ""))
                    return answer.read(), link.partition(">")[0].removeprefix("<")
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Failed(f"{self.name}: GET {path}: {error}") from error
            time.sleep(0.05)

    def stop(self) -> None:
        """As `Target.stop`."""
        self.cluster.stop()
