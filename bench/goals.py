"""The goals: a bound for each figure that matters."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from bench.faults import Fault, Phase
from bench.growth import NODES, Growth
from bench.keys import Keys
from bench.rounds import Results
from bench.sample import Load, Metric
from bench.workload import Operation

GET = Load(Operation.GET, Keys.UNIFORM)
PUT = Load(Operation.PUT, Keys.UNIFORM)
MOST_GROWTH = 1.15
"""The greatest ratio that counts as no growth.

Lower: noise misses the goal. Higher: a real growth of CPU reaches it.
"""


class Side(Enum):
    """The side of the bound on which a figure must lie."""

    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure with its bound.

    `measured`: None if the run did not measure it.
    """

    name: str
    side: Side
    bound: float
    measured: float | None

    @property
    def reached(self) -> bool | None:
        """Return whether the figure reaches its bound; None if unmeasured."""
        if self.measured is None:
            return None
        satisfies: Callable[[float, float], bool] = (
            operator.le if self.side is Side.AT_MOST else operator.ge
        )
        return satisfies(self.measured, self.bound)


def goals(results: Results, growth: Growth | None) -> list[Goal]:
    """Return every goal. The figure of a ratio is its median over the rounds."""
    most, least = Side.AT_MOST, Side.AT_LEAST
    found = [
        Goal("GET, CPU relative to the echo", most, 1.5, _ratio(results, GET, "ddb", "echo")),
        Goal("PUT, CPU relative to the echo", most, 3.0, _ratio(results, PUT, "ddb", "echo")),
        Goal(
            "PUT with DDB_FSYNC=os, CPU relative to the echo",
            *(most, 1.8, _ratio(results, PUT, "ddb-os", "echo")),
        ),
    ]
    for load, peer, bound in (
        (GET, "etcd", 3.0),
        (GET, "fastapi", 4.0),
        (PUT, "etcd", 2.0),
        (PUT, "fastapi", 3.0),
    ):
        name = f"{load.operation.name}, requests/s relative to {peer}"
        found.append(Goal(name, least, bound, _ratio(results, load, "ddb", peer, Metric.RATE)))
    return found if growth is None else found + _growth_goals(growth)


def _growth_goals(growth: Growth) -> list[Goal]:
    most = Side.AT_MOST
    counting = None if growth.counting is None else growth.counting.median
    disk = growth.compacted / growth.logical if growth.logical else None
    few, many = (f"{count} nodes" for count in (NODES[0], NODES[-1]))
    sizes = sorted(
        (name for name in growth.records.samples.get(GET, {}) if name.endswith(" users")),
        key=lambda name: int(name.removesuffix(" users").replace(",", "")),
    )
    found = [
        Goal("disk for two copies relative to the JSON", most, 1.3, disk),
        Goal("COUNT of all records, ms", most, 10.0, counting),
    ]
    for load in (GET, PUT):
        operation = load.operation.name
        nodes = _ratio(growth.nodes, load, many, few)
        name = f"{operation}, CPU on {many} relative to {few}"
        found.append(Goal(name, most, MOST_GROWTH, nodes))
        records = _ratio(growth.records, load, sizes[-1], sizes[0]) if sizes else None
        name = f"{operation}, CPU with most records relative to fewest"
        found.append(Goal(name, most, MOST_GROWTH, records))
    return found if growth.fault is None else found + _fault_goals(growth.fault)


def _fault_goals(fault: Fault) -> list[Goal]:
    before = fault.p99(Phase.BEFORE)
    idle = fault.idle_hints / fault.idle_handoff_s if fault.idle_handoff_s else None
    handoff = fault.p99(Phase.HANDOFF) / before if before else None
    slowest = max(fault.slowest(phase) for phase in Phase) * 1000
    return [
        Goal("hints handed off per second, when idle", Side.AT_LEAST, 20_000, idle),
        Goal("p99 during handoff relative to before", Side.AT_MOST, 2.0, handoff),
        Goal("slowest answer while a node is killed, ms", Side.AT_MOST, 250, slowest),
        Goal("requests refused or unanswered meanwhile", Side.AT_MOST, 0, fault.failures()),
    ]


def _ratio(
    results: Results, load: Load, name: str, other: str, metric: Metric = Metric.CPU
) -> float | None:
    spread = results.ratio(load, name, other, metric)
    return None if spread is None else spread.median
