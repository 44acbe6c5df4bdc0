"""Growth: CPU, memory and disk by nodes and by records."""

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
from bench.rounds import Bench, Loaded, Log, Results
from bench.sample import Load, Spread
from bench.targets.ddb import Ddb
from bench.targets.echo import Echo
from bench.targets.target import TargetFailed
from bench.users import User
from bench.workload import Operation
from bench.wrk import Wrk

LOADS = (Load(Operation.GET, Keys.UNIFORM), Load(Operation.PUT, Keys.UNIFORM))
NODES = (3, 5, 9)
FEW = 20_000
"""Users on each of the clusters that differ in their number of nodes."""
COUNTS = 100
"""COUNT requests that are timed."""
SETTLE_S = 3.0
"""Pause after loading. Shorter: background work of loading adds to the measured CPU."""


@dataclass(slots=True)
class Growth:
    """The figures of all clusters."""

    nodes: Results = field(default_factory=Results)
    records: Results = field(default_factory=Results)
    memory: dict[str, list[int]] = field(default_factory=dict)
    """Bytes of each node's memory, by cluster."""
    counting: Spread | None = None
    """Milliseconds of one COUNT on the largest cluster, without other load."""
    logical: int = 0
    """Bytes of the JSON of all users of the largest cluster."""
    running: int = 0
    """Bytes on disk of the largest cluster while it ran."""
    compacted: int = 0
    """Bytes on disk of the largest cluster after a compaction."""
    users: int = 0
    """Users of the largest cluster."""
    fault: Fault | None = None
    """None: the run made no fault."""


class GrowthRun:
    """The measurement of clusters of several sizes, in two groups."""

    def __init__(self, directory: Path, users: list[User], log: Log) -> None:
        """Prepare the clusters. The largest one stores all of `users`."""
        self._directory = directory
        self._users = users
        self._log = log
        self._wrk = Wrk.find()
        self.growth = Growth(users=len(users))

    def by_nodes(self, rounds: int) -> None:
        """Measure the same users on 3, 5 and 9 nodes."""
        clusters = [
            (Ddb(self._directory / f"n{nodes}", nodes, name=f"{nodes} nodes"), FEW)
            for nodes in NODES
        ]
        with ExitStack() as stack:
            self._measure(stack, clusters, rounds, self.growth.nodes)

    def by_records(self, rounds: int, hints: int) -> None:
        """Measure 1/1000, 1/10 and all of the users on three nodes.

        Args:
            rounds: The number of rounds.
            hints: The approximate number of hints of the fault on the largest cluster. 0: no fault.
        """
        clusters = [
            (Ddb(self._directory / f"r{count}", name=f"{count:,} users"), count)
            for count in self._sizes()
        ]
        largest = clusters[-1][0]
        with ExitStack() as stack:
            self._measure(stack, clusters, rounds, self.growth.records)
            self.growth.counting = _counting(largest.host)
            self.growth.running = occupied(largest.cluster.data)
            # During the fault, the cluster has the machine to itself.
            for target, _ in clusters[:-1]:
                target.stop()
            if hints:
                fault = FaultRound(largest, self._users, hints, self._log)
                self.growth.fault = fault.run()
        compact_cluster(largest.cluster.data)
        self.growth.logical = logical(self._users)
        self.growth.compacted = occupied(largest.cluster.data)

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
            self._log(f"{target.name}: {count:,} users loaded in {time.monotonic() - began:.0f} s")
            loaded.append(Loaded(target, self._users[:count]))
        time.sleep(SETTLE_S)
        bench = Bench(self._wrk, loaded, self._log)
        stack.callback(bench.close)
        bench.run(LOADS, rounds, 1, results)
        for target, _ in clusters:
            self.growth.memory[target.name] = [
                memory(pid) for name, pid in target.cluster.pids().items() if name != "gateway"
            ]


def _counting(host: str) -> Spread:
    """Time COUNT requests in milliseconds, one by one. Raises `TargetFailed`."""
    connection = http.client.HTTPConnection(host, timeout=5)
    took = []
    for _ in range(COUNTS):
        began = time.perf_counter()
        connection.request("GET", "/api/users/count")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise TargetFailed(f"COUNT got the status {answer.status}, not 200")
        took.append((time.perf_counter() - began) * 1000)
    connection.close()
    return Spread.over(took)
