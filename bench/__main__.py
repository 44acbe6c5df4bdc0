"""`python -m bench`: see bench/README.md."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.keys import Keys
from bench.machine import describe
from bench.rounds import Bench, Results
from bench.sample import Load, Metric
from bench.table import all_loads, brief, spread
from bench.targets.catalogue import NAMES, make
from bench.targets.target import Failed, Missing, Target
from bench.users import Generator
from bench.workload import Operation
from bench.wrk import Wrk, WrkError

LOADS = (
    Load(Operation.GET, Keys.UNIFORM),
    Load(Operation.GET, Keys.ZIPF),
    Load(Operation.PUT, Keys.UNIFORM),
    Load(Operation.PUT, Keys.ZIPF),
    Load(Operation.MIX, Keys.UNIFORM),
    Load(Operation.MIX, Keys.ZIPF),
    Load(Operation.POST, Keys.UNIFORM),
    Load(Operation.DELETE, Keys.UNIFORM),
    Load(Operation.LIST, Keys.UNIFORM),
    Load(Operation.COUNT, Keys.UNIFORM),
)
BOUNDS = {Operation.GET: 2.5, Operation.PUT: 5.0}
"""CPU of an operation by that of the bare echo: wide, because machines are noisy."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 done, 1 failed or out of bounds."""
    said = _parser().parse_args(arguments)
    try:
        return _run(said)
    except (Failed, Missing, WrkError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _run(said: argparse.Namespace) -> int:
    small = said.quick or said.only is not None
    users = Generator().take(said.users or (10_000 if small else 100_000))
    names = said.targets or (("echo", "ddb") if small else NAMES)
    only = said.only or tuple(Operation)
    loads = [
        load
        for load in LOADS
        if load.operation in only and (not small or load.keys is Keys.UNIFORM)
    ]
    wrk = Wrk.find()
    _say(f"{describe()}; {wrk.version()}; {len(users):,} users")
    results = Results()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        targets = _started(names, directory, results, stack)
        for target in targets:
            began = time.monotonic()
            target.load(users)
            _say(f"{target.name} is loaded: {time.monotonic() - began:.0f} s")
        bench = Bench(wrk, targets, users, _say)
        stack.callback(bench.close)
        bench.run(loads, said.rounds, said.seconds, results)
    print((brief if small else all_loads)(results, names))
    return max(
        _complete(results, targets, loads, said.rounds), _judged(results) if said.quick else 0
    )


def _started(
    names: Sequence[str], directory: Path, results: Results, stack: ExitStack
) -> list[Target]:
    targets = []
    for name in names:
        target = make(name, directory / name)
        stack.callback(target.stop)
        try:
            target.start()
        except Missing as missing:
            results.skipped[name] = str(missing)
            _say(f"{name} is skipped: {missing}")
            continue
        results.durability[name] = target.durability
        results.versions[name] = target.version()
        targets.append(target)
    return targets


def _complete(
    results: Results, targets: Sequence[Target], loads: Sequence[Load], rounds: int
) -> int:
    """1 where a system failed in half of the rounds of a load or more."""
    poor = [
        f"{target.name}, {load}"
        for load in loads
        for target in targets
        if load.operation in target.operations
        and 2 * len(results.samples.get(load, {}).get(target.name, {})) <= rounds
    ]
    if poor:
        _say(f"bench: too few rounds that count: {'; '.join(poor)}")
    return 1 if poor else 0


def _judged(results: Results) -> int:
    outside = 0
    for operation, bound in BOUNDS.items():
        load = Load(operation, Keys.UNIFORM)
        ratio = results.ratio(load, "ddb", "echo", Metric.CPU)
        if ratio is None:
            continue
        within = ratio.median <= bound
        outside += not within
        print(
            f"{operation.name}: {spread(ratio, 2)} times the CPU of the bare echo;"
            f" {'within' if within else 'OUTSIDE'} the bound of {bound}"
        )
    return 1 if outside else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(NAMES)}")
    return names


def _operations(text: str) -> tuple[Operation, ...]:
    try:
        return tuple(Operation(name) for name in text.split(","))
    except ValueError:
        known = ", ".join(operation.value for operation in Operation)
        raise argparse.ArgumentTypeError(f"{text} is not a list of {known}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two minutes, and bounds to stay in")
    parser.add_argument("--only", type=_operations, help="get,put,...: these, on 10,000 users")
    parser.add_argument("--targets", type=_names, help=f"some of {','.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=int, default=2, help="of each run (2)")
    parser.add_argument("--users", type=int, help="to load first")
    return parser


if __name__ == "__main__":
    sys.exit(main())
