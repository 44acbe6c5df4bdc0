"""One system under one load for some seconds: what came out, and what it cost."""

import resource
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bench.cpu import busy, used
from bench.keys import Keys
from bench.targets.target import Target
from bench.workload import Operation
from bench.wrk import Measured, Wrk

MICRO = 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """A row of the table."""

    operation: Operation
    keys: Keys

    def __str__(self) -> str:
        keys = f" {self.keys.value}" if self.operation.keyed else ""
        return f"{self.operation.value}{keys}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one load on one system."""

    rate: float
    """Requests a second."""
    p50: float
    p99: float
    p999: float
    """Microseconds."""
    cpu: float
    """Microseconds of processor time for each operation, over all processes of the system."""
    others: float
    """Processors that were busy with anything else meanwhile."""


class Metric(Enum):
    """What is compared."""

    RATE = "rate"
    CPU = "cpu"
    P50 = "p50"
    P99 = "p99"
    P999 = "p999"
    OTHERS = "others"

    def of(self, sample: Sample) -> float:
        """The sample's figure."""
        figure: float = getattr(sample, self.value)
        return figure


@dataclass(frozen=True, slots=True)
class Spread:
    """The same figure over the rounds."""

    least: float
    median: float
    greatest: float

    @classmethod
    def over(cls, figures: Iterable[float]) -> "Spread":
        """Of one figure or more."""
        ordered = sorted(figures)
        return cls(ordered[0], statistics.median(ordered), ordered[-1])


class RoundFailed(Exception):
    """A run had answers that it should not have had, so its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Run:
    """What the load generator saw, and what it cost the system."""

    measured: Measured
    cost: float
    """Seconds of processor time of the system."""
    others: float
    """As `Sample.others`."""

    def sample(self, what: str) -> Sample:
        """The figures. Raises RoundFailed."""
        done = self.measured
        if done.failures or not done.requests:
            raise RoundFailed(
                f"{what}: {done.refused} of {done.requests} requests were answered with an error"
                f" and {done.broken} connections failed"
            )
        return Sample(
            rate=done.rate,
            p50=done.p50_us,
            p99=done.p99_us,
            p999=done.p999_us,
            cpu=self.cost / done.requests * MICRO,
            others=self.others,
        )


def measure(wrk: Wrk, target: Target, plan: Path, seconds: float) -> Run:
    """Run a plan. Raises WrkError."""
    before, before_all, began = used(target.roots), _everything(), time.monotonic()
    done = wrk.replay(plan, target.host, seconds)
    cost, all_cost = used(target.roots) - before, _everything() - before_all
    return Run(done, cost, max(0.0, all_cost - cost) / (time.monotonic() - began))


def _everything() -> float:
    """Seconds of work of the whole machine, without this process and the load generator."""
    mine = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    return busy() - mine
