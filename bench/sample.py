"""One run of one system under one load, and its figures."""

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
    """An operation, and the distribution of its keys."""

    operation: Operation
    keys: Keys

    def __str__(self) -> str:
        keys = f" {self.keys.value}" if self.operation.keyed else ""
        return f"{self.operation.value}{keys}"


@dataclass(frozen=True, slots=True)
class Sample:
    """The figures of one run."""

    rate: float
    """Requests per second."""
    p50: float
    """Microseconds, like the other percentiles."""
    p99: float
    p999: float
    cpu: float
    """Microseconds of CPU per operation, over all processes of the system."""
    others: float
    """The average number of processors that did other work during the run."""


class Metric(Enum):
    """A figure of a sample."""

    RATE = "rate"
    CPU = "cpu"
    P50 = "p50"
    P99 = "p99"
    P999 = "p999"
    OTHERS = "others"

    def of(self, sample: Sample) -> float:
        """Return this figure of `sample`."""
        figure: float = getattr(sample, self.value)
        return figure


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over the rounds."""

    least: float
    median: float
    greatest: float

    @classmethod
    def over(cls, figures: Iterable[float]) -> "Spread":
        """Return the spread of one or more figures."""
        ordered = sorted(figures)
        return cls(ordered[0], statistics.median(ordered), ordered[-1])


class RoundFailed(Exception):
    """Some answers of a run were errors, so the run does not count."""


@dataclass(frozen=True, slots=True)
class Run:
    """The measurement of one run."""

    measured: Measured
    cost: float
    """Seconds of CPU of the system."""
    others: float
    """See `Sample.others`."""

    def sample(self, title: str) -> Sample:
        """Return the figures. Raises `RoundFailed`.

        Args:
            title: System and load, for the error.
        """
        done = self.measured
        if done.failures or not done.requests:
            raise RoundFailed(
                f"{title}: {done.refused} of {done.requests} requests got an error,"
                f" {done.broken} connections failed"
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
    """Run a plan and measure the system's CPU meanwhile. Raises `WrkError`."""
    before, before_all, began = used(target.roots), _machine_cpu(), time.monotonic()
    done = wrk.replay(plan, target.host, seconds)
    cost, all_cost = used(target.roots) - before, _machine_cpu() - before_all
    return Run(done, cost, max(0.0, all_cost - cost) / (time.monotonic() - began))


def _machine_cpu() -> float:
    """Return the machine's seconds of CPU.

    They exclude this process and the load generator, which is its child.
    """
    own = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    return busy() - own
