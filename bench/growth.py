"""What an operation costs as nodes and records grow, and what a million records take."""

import http.client
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.cpu import memory
from bench.disk import compact_cluster, logical, occupied
from bench.faults import Fault, FaultRound
from bench.keys import Keys
from bench.rounds import Bench, Loaded, Results, Say
from bench.sample import Load, Spread
from bench.targets.ddb import Ddb
from bench.targets.echo import Echo
from bench.targets.target import Failed
from bench.users import User
from bench.workload import Operation
from bench.wrk import Wrk

LOADS = (Load(Operation.GET, Keys.UNIFORM), Load(Operation.PUT, Keys.UNIFORM))
NODES = (3, 5, 9)
FEW = 20_000
"""Records of the clusters that differ in their nodes."""
COUNTS = 100
SETTLE = 3.0
"""Seconds after loading, for what loading left to be done in the background."""


@dataclass(slots=True)
class Growth:
    """What was found."""

    nodes: Results = field(default_factory=Results)
    records: Results = field(default_factory=Results)
    memory: dict[str, list[int]] = field(default_factory=dict)
    """Bytes of each node's memory, by cluster."""
    counting: Spread | None = None
    """Milliseconds of one COUNT of the most records, one after the other."""
    logical: int = 0
    running: int = 0
    """Bytes on disk while it ran."""
    compacted: int = 0
    users: int = 0
    fault: Fault | None = None


class GrowthRun:
    """Clusters of several sizes, in two groups one after the other."""

    def __init__(self, directory: Path, users: list[User], say: Say) -> None:
        """The biggest cluster holds all of the users."""
        self._directory = directory
        self._users = users
        self._say = say
        self._wrk = Wrk.find()
        self.growth = Growth(users=len(users))

    def by_nodes(self, rounds: int) -> None:
        """The same records on more and more nodes."""
        clusters = [
            (Ddb(self._directory / f"n{nodes}", nodes, name=f"{nodes} nodes"), FEW)
            for nodes in NODES
        ]
        with ExitStack() as stack:
            self._measure(stack, clusters, rounds, self.growth.nodes)

    def by_records(self, rounds: int, hints: int) -> None:
        """More and more records on three nodes; with the most, `hints` hints: 0 for no fault."""
        clusters = [
            (Ddb(self._directory / f"r{count}", name=f"{count:,} users"), count)
            for count in self._sizes()
        ]
        biggest = clusters[-1][0]
        with ExitStack() as stack:
            self._measure(stack, clusters, rounds, self.growth.records)
            self.growth.counting = _counting(biggest.host)
            self.growth.running = occupied(biggest.cluster.data)
            # What a fault does is measured on a cluster that has the machine to itself.
            for target, _ in clusters[:-1]:
                target.stop()
            if hints:
                fault = FaultRound(biggest, self._users, hints, self._say)
                self.growth.fault = fault.run()
        compact_cluster(biggest.cluster.data)
        self.growth.logical = logical(self._users)
        self.growth.compacted = occupied(biggest.cluster.data)

    def _sizes(self) -> list[int]:
        most = len(self._users)
        return [size for size in (most // 1000, most // 10, most) if size]

    def _measure(
        self,
        stack: ExitStack,
        clusters: Sequence[tuple[Ddb, int]],
        rounds: int,
        results: Results,
    ) -> None:
        echo = Echo(self._directory)
        stack.callback(echo.stop)
        echo.start()
        loaded = [Loaded(echo, self._users[:1000])]
        for target, count in clusters:
            began = time.monotonic()
            stack.callback(target.stop)
            target.start_with(self._users[:count])
            self._say(f"{target.name}: loaded {count:,} in {time.monotonic() - began:.0f} s")
            loaded.append(Loaded(target, self._users[:count]))
        time.sleep(SETTLE)
        bench = Bench(self._wrk, loaded, self._say)
        stack.callback(bench.close)
        bench.run(LOADS, rounds, 1, results)
        for target, _ in clusters:
            self.growth.memory[target.name] = [
                memory(pid) for name, pid in target.cluster.pids().items() if name != "gateway"
            ]


def _counting(host: str) -> Spread:
    """Milliseconds of COUNT, one at a time on one connection. Raises Failed."""
    connection = http.client.HTTPConnection(host, timeout=5)
    took = []
    for _ in range(COUNTS):
        began = time.perf_counter()
        connection.request("GET", "/api/users/count")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise Failed(f"COUNT is answered with {answer.status}")
        took.append((time.perf_counter() - began) * 1000)
    connection.close()
    return Spread.over(took)
