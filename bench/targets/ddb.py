"""ddb as a target: a cluster of real processes, started as a user starts it."""

import random
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

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
        wrk = Wrk.find()
        for start in range(0, len(users), CHUNK):
            part = users[start : start + CHUNK]
            there = self._count() + len(part)
            for _ in range(ATTEMPTS):
                done = wrk.run(load(self.dialect, part), self.host)
                # Loading is full load, and on a busy machine some requests may find no answer in
                # time. Sent again they are made, or refused because they had been.
                if not done.failures or self._count() == there:
                    break
            else:
                raise Failed(f"{self.name}: loading {len(part)} users went wrong: {done}")

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
