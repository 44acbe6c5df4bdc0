"""ddb as a target: a cluster of real processes, started as a user starts it."""

import random
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
from bench.wrk import Wrk
from ddb.settings import Fsync
from tests.cluster import Cluster, wait_for

CHUNK = 100_000
"""Users of one loading plan, so that the load generator need not hold a million requests."""
ATTEMPTS = 5
COUNTING = 10
"""Seconds."""
OK = 200


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
                wrk.run(load(self.dialect, missing[start : start + CHUNK]), self.host)
            if self._count() == len(users):
                return
            # Loading is full load: on a busy machine some requests find no answer in time.
            there = self._ids()
            missing = [user for user in users if user.id not in there]
        raise Failed(f"{self.name}: {len(missing)} of {len(users)} users could not be loaded")

    def _ids(self) -> set[str]:
        """The ids of all users, page by page."""
        found, path = set[str](), "/api/users/?limit=1000"
        while path:
            with urllib.request.urlopen(f"http://{self.host}{path}", timeout=5) as page:
                found.update(each.id for each in msgspec.json.decode(page.read(), type=list[User]))
                link = page.headers["link"]
            path = "" if link is None else str(link).partition(">")[0].removeprefix("<")
        return found

    def _count(self) -> int:
        def known() -> bool:
            status, answer = self.cluster.request("GET", "/api/users/count")
            if status == OK and isinstance(answer, dict):
                counted.append(int(answer["count"]))
            return bool(counted)

        counted: list[int] = []
        if not wait_for(known, COUNTING):
            raise Failed(f"{self.name} does not count its users for {COUNTING} s")
        return counted[0]

    def places(self, users: Sequence[User], count: int) -> list[str]:
        """As `Target.places`: cursors, found by their offsets."""
        found = []
        for _ in range(count):
            offset = random.randrange(max(1, len(users) - 200))
            url = f"http://{self.host}/api/users/?limit=1&offset={offset}"
            with urllib.request.urlopen(url, timeout=5) as page:
                link = urlsplit(str(page.headers["link"]).partition(">")[0])
            found.append(parse_qs(link.query)["after"][0])
        return found

    def stop(self) -> None:
        """As `Target.stop`."""
        self.cluster.stop()
