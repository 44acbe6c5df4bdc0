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
from tests.cluster import Cluster

CHUNK = 100_000
"""Users of one loading plan, so that the load generator need not hold a million requests."""


class Ddb:
    """Nodes and a gateway on ports and data of their own."""

    operations = frozenset(Operation)
    dialect = Rest()

    def __init__(
        self, directory: Path, nodes: int = 3, fsync: Fsync = Fsync.ALWAYS, name: str = "ddb"
    ) -> None:
        self.name = name
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
            done = wrk.run(load(self.dialect, part), self.host)
            if done.failures or done.issued < len(part):
                raise Failed(f"{self.name}: loading {len(part)} users went wrong: {done}")
        status, counted = self.cluster.request("GET", "/api/users/count")
        if (status, counted) != (200, {"count": len(users)}):
            raise Failed(f"{self.name} counts {counted} ({status}) after {len(users)} users")

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
