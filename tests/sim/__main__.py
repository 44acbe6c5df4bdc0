"""Run seeds: `python -m tests.sim --seeds 1000 --jobs 2`; replay one: `--seed 42`."""

import argparse
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace

from tests.sim.run import Report, run
from tests.sim.shrink import shrink
from tests.sim.swarm import draw

_BAR = 30
_SHOWN = 10


@dataclass(slots=True)
class Total:
    """The sum of many reports."""

    seeds: int = 0
    operations: int = 0
    acknowledged: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, str]] = field(default_factory=list)
    virtual: float = 0.0

    def add(self, report: Report) -> None:
        """Add one run."""
        self.seeds += 1
        self.operations += report.operations
        self.acknowledged += report.acknowledged
        self.faults += report.fired
        self.outcomes += report.outcomes
        self.virtual += report.seconds
        if report.violations:
            checker, what = report.violations[0]
            self.failed.append((report.seed, f"{checker}: {what}"))

    def line(self, seconds: float) -> str:
        """Return the summary as one line of JSON."""
        return json.dumps(
            {
                "seeds": self.seeds,
                "operations": self.operations,
                "acknowledged_writes": self.acknowledged,
                "faults": dict(sorted(self.faults.items())),
                "answers": dict(sorted(self.outcomes.items())),
                "virtual_hours": round(self.virtual / 3600, 1),
                "seconds": round(seconds, 1),
                "violations": len(self.failed),
            }
        )


def pin() -> None:
    """Restart this command with `PYTHONHASHSEED=0`, unless it has that."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606


def brief(seed: int) -> Report:
    """Run one seed and return its report without notes."""
    return replace(run(draw(seed)), notes=())


def reports(seeds: range, jobs: int) -> Iterator[Report]:
    """Run many seeds in `jobs` processes and yield their reports."""
    if jobs <= 1:
        yield from map(brief, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(brief, seeds, chunksize=8)


def run_many(seeds: range, jobs: int) -> int:
    """Run seeds, print a summary, and return the exit code."""
    total, began, shown = Total(), time.monotonic(), 0.0
    gc.freeze()
    for report in reports(seeds, jobs):
        total.add(report)
        now = time.monotonic()
        if sys.stderr.isatty() and now - shown > 0.2:
            shown = now
            done = int(_BAR * total.seeds / len(seeds))
            print(
                f"\r[{'#' * done}{'.' * (_BAR - done)}] {total.seeds}/{len(seeds)} seeds,"
                f" {total.seeds / (now - began):.1f}/s, {len(total.failed)} failed ",
                end="",
                file=sys.stderr,
                flush=True,
            )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for seed, what in total.failed[:_SHOWN]:
        print(f"seed {seed} breaks {what.splitlines()[0][:300]}")
        print(f"  replay: python -m tests.sim --seed {seed}")
    print(total.line(time.monotonic() - began), flush=True)
    return 1 if total.failed else 0


def show(report: Report) -> int:
    """Print the trace of one run and return the exit code."""
    for moment, what in report.notes:
        print(f"{moment:10.4f}  {what}")
    for checker, what in report.violations:
        print(f"BROKEN {checker}: {what}")
    print(
        f"seed {report.seed}: trace {report.trace}, {report.operations} operations,"
        f" {len(report.violations)} violations"
    )
    return 1 if report.violations else 0


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, nargs="+", help="replay these seeds, with their traces")
    parser.add_argument("--shrink", action="store_true", help="with --seed: shrink the plans first")
    arguments = parser.parse_args()
    pin()
    if arguments.seed is None:
        seeds = range(arguments.start, arguments.start + arguments.seeds)
        return run_many(seeds, arguments.jobs)
    return max(replay(seed, shrunk=arguments.shrink) for seed in arguments.seed)


def replay(seed: int, *, shrunk: bool) -> int:
    """Run one seed and print its trace; return the exit code.

    Args:
        shrunk: True cuts the plan down and prints it first; False runs the plan as drawn.
    """
    plan = draw(seed)
    if shrunk:
        plan = shrink(plan)
        print(f"left: {len(plan.ops)} operations, {len(plan.faults)} faults")
        print(f"{plan!r}")
    return show(run(plan))


if __name__ == "__main__":
    sys.exit(main())
