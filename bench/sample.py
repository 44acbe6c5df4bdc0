"""One system under one load for some seconds: what came out, and what it cost."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bench.cpu import used
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
    requests: int


class Metric(Enum):
    """What is compared."""

    RATE = "rate"
    CPU = "cpu"
    P50 = "p50"
    P99 = "p99"
    P999 = "p999"

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


def measure(
    wrk: Wrk, target: Target, load: Load, plan: Path, seconds: float
) -> tuple[Sample, Measured]:
    """Run the plan. Raises RoundFailed and WrkError."""
    before = used(target.roots)
    done = wrk.replay(plan, target.host, seconds)
    cost = used(target.roots) - before
    if done.failures or not done.requests:
        raise RoundFailed(
            f"{target.name}, {load}: {done.refused} of {done.requests} requests were answered with"
            f" an error and {done.broken} connections failed; the round does not count"
        )
    sample = Sample(
        rate=done.rate,
        p50=done.p50_us,
        p99=done.p99_us,
        p999=done.p999_us,
        cpu=cost / done.requests * MICRO,
        requests=done.requests,
    )
    return sample, done
