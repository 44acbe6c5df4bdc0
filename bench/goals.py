"""What is to be reached, and whether it was."""

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
FLAT = 1.15
"""What growth may cost and still be noise."""


class Side(Enum):
    """On which side of its bound a figure should be."""

    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure, its bound, and what was measured: None where it was not."""

    name: str
    side: Side
    bound: float
    measured: float | None

    @property
    def reached(self) -> bool | None:
        """None where it was not measured."""
        if self.measured is None:
            return None
        holds: Callable[[float, float], bool] = (
            operator.le if self.side is Side.AT_MOST else operator.ge
        )
        return holds(self.measured, self.bound)


def goals(results: Results, growth: Growth | None) -> list[Goal]:
    """Every goal. A ratio's figure is its median over the rounds."""
    most, least = Side.AT_MOST, Side.AT_LEAST
    found = [
        Goal("GET, CPU by the echo's", most, 1.5, _ratio(results, GET, "ddb", "echo")),
        Goal("PUT, CPU by the echo's", most, 3.0, _ratio(results, PUT, "ddb", "echo")),
        Goal("PUT, DDB_FSYNC=os, same", most, 1.8, _ratio(results, PUT, "ddb-os", "echo")),
    ]
    for load, peer, bound in (
        (GET, "etcd", 3.0),
        (GET, "fastapi", 4.0),
        (PUT, "etcd", 2.0),
        (PUT, "fastapi", 3.0),
    ):
        name = f"{load.operation.name}, requests/s by {peer}'s"
        found.append(Goal(name, least, bound, _ratio(results, load, "ddb", peer, Metric.RATE)))
    return found if growth is None else found + _grown(growth)


def _grown(growth: Growth) -> list[Goal]:
    most = Side.AT_MOST
    counting = None if growth.counting is None else growth.counting.median
    disk = growth.compacted / growth.logical if growth.logical else None
    few, many = (f"{count} nodes" for count in (NODES[0], NODES[-1]))
    sizes = sorted(
        (name for name in growth.records.samples.get(GET, {}) if name.endswith(" users")),
        key=lambda name: int(name.removesuffix(" users").replace(",", "")),
    )
    found = [
        Goal("disk, two copies, by logical bytes", most, 1.3, disk),
        Goal("COUNT of the most records, ms", most, 10.0, counting),
    ]
    for load in (GET, PUT):
        what = load.operation.name
        nodes = _ratio(growth.nodes, load, many, few)
        found.append(Goal(f"{what}, CPU on {many} by that on {few}", most, FLAT, nodes))
        records = _ratio(growth.records, load, sizes[-1], sizes[0]) if sizes else None
        found.append(Goal(f"{what}, CPU with most by with fewest records", most, FLAT, records))
    return found if growth.fault is None else found + _broken(growth.fault)


def _broken(fault: Fault) -> list[Goal]:
    before = fault.p99(Phase.BEFORE)
    idle = fault.idle_hints / fault.idle_drained_in if fault.idle_drained_in else None
    draining = fault.p99(Phase.DRAINING) / before if before else None
    worst = max(fault.worst(phase) for phase in Phase) * 1000
    return [
        Goal("replay of hints when idle, a second", Side.AT_LEAST, 20_000, idle),
        Goal("p99 while draining by that of before", Side.AT_MOST, 2.0, draining),
        Goal("worst answer with a node killed, ms", Side.AT_MOST, 250, worst),
        Goal("requests refused or unanswered then", Side.AT_MOST, 0, fault.bad()),
    ]


def _ratio(
    results: Results, load: Load, name: str, other: str, metric: Metric = Metric.CPU
) -> float | None:
    spread = results.ratio(load, name, other, metric)
    return None if spread is None else spread.median
