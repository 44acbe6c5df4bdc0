"""Measure ddb, its peers and its limit. See bench/README.md."""

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from enum import Enum
from pathlib import Path

from bench.growth import Growth, GrowthRun
from bench.keys import Keys
from bench.machine import describe
from bench.report import report
from bench.rounds import Bench, Loaded, Results, verify
from bench.sample import Load, Metric
from bench.table import brief, spread
from bench.targets.catalogue import NAMES, make
from bench.targets.target import NotInstalled, Target, TargetFailed, end_in_order
from bench.users import Generator, User
from bench.workload import Operation
from bench.wrk import Wrk, WrkError

RESULTS = Path("bench/results")
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


class Stage(Enum):
    """A part of the benchmark that can run alone."""

    ROUNDS = "rounds"
    """Every system under every load."""
    NODES = "nodes"
    """ddb on 3, 5 and 9 nodes."""
    RECORDS = "records"
    """ddb with up to `--most` records, then a fault, then the disk."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested stages and return the exit code.

    0: every system completed more than half of the rounds of each load. 1: one did not, or an error
    ended the benchmark.
    """
    options = _parser().parse_args(arguments)
    end_in_order()
    began = time.monotonic()
    try:
        code = _run(options)
    except (TargetFailed, NotInstalled, WrkError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    _log(f"finished in {time.monotonic() - began:.0f} s")
    return code


def _run(options: argparse.Namespace) -> int:
    small = options.quick or options.only is not None
    stages = options.stages or ((Stage.ROUNDS,) if small else tuple(Stage))
    names = options.targets or (("echo", "ddb") if small else NAMES)
    count = options.users or (10_000 if small else 100_000)
    wrk = Wrk.find()
    if not small and importlib.util.find_spec("matplotlib") is None:
        raise NotInstalled("matplotlib is not installed: pip install -r bench/requirements.txt")
    _log(f"{describe()}; {wrk.version()}; {count:,} users")
    results, code = Results(), 0
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        if Stage.ROUNDS in stages:
            code = _rounds(options, names, Generator().take(count), directory, results)
        growth = _growth(options, stages, directory)
    if small:
        print(brief(results, names))
        _print_ratios(results)
        return code
    options.out.mkdir(parents=True, exist_ok=True)
    page = report(results, names, growth, count, wrk.version())
    (options.out / "results.md").write_text(page, encoding="utf-8")
    _log(f"written: {options.out}/results.md")
    if results.samples:
        from bench.picture import draw

        draw(results, names, growth, options.out / "results.png")
        _log(f"drawn: {options.out}/results.png")
    return code


def _rounds(
    options: argparse.Namespace,
    names: Sequence[str],
    users: list[User],
    directory: Path,
    results: Results,
) -> int:
    small = options.quick or options.only is not None
    only = options.only or tuple(Operation)
    loads = [
        load
        for load in LOADS
        if load.operation in only and (not small or load.keys is Keys.UNIFORM)
    ]
    with ExitStack() as stack:
        targets = _start(names, directory, results, stack)
        for target in targets:
            began = time.monotonic()
            target.load(users)
            if Operation.POST in target.operations:
                verify(Loaded(target, users))
            _log(f"{target.name}: loaded in {time.monotonic() - began:.0f} s")
        bench = Bench(Wrk.find(), [Loaded(target, users) for target in targets], _log)
        stack.callback(bench.close)
        bench.run(loads, options.rounds, options.seconds, results)
    return _exit_code(results, targets, loads, options.rounds)


def _growth(options: argparse.Namespace, stages: Sequence[Stage], directory: Path) -> Growth | None:
    if Stage.NODES not in stages and Stage.RECORDS not in stages:
        return None
    run = GrowthRun(directory / "growth", Generator().take(options.most), _log)
    if Stage.NODES in stages:
        run.by_nodes(options.rounds)
    if Stage.RECORDS in stages:
        run.by_records(options.rounds, options.hints)
    return run.growth


def _start(
    names: Sequence[str], directory: Path, results: Results, stack: ExitStack
) -> list[Target]:
    targets = []
    for name in names:
        target = make(name, directory / name)
        stack.callback(target.stop)
        try:
            target.start()
        except NotInstalled as missing:
            results.skipped[name] = str(missing)
            _log(f"skipped {name}: {missing}")
            continue
        results.durability[name] = target.durability
        results.versions[name] = target.version()
        targets.append(target)
    return targets


def _exit_code(
    results: Results, targets: Sequence[Target], loads: Sequence[Load], rounds: int
) -> int:
    """Return the exit code.

    1: a system failed in half of the rounds of a load, or in more. 0: no system did.
    """
    incomplete = [
        f"{target.name}, {load}"
        for load in loads
        for target in targets
        if load.operation in target.operations
        and 2 * len(results.samples.get(load, {}).get(target.name, {})) <= rounds
    ]
    if incomplete:
        _log(f"bench: too few valid rounds: {'; '.join(incomplete)}")
    return 1 if incomplete else 0


def _print_ratios(results: Results) -> None:
    """Print ddb's CPU relative to the echo, where measured."""
    for operation in (Operation.GET, Operation.PUT):
        load = Load(operation, Keys.UNIFORM)
        ratio = results.ratio(load, "ddb", "echo", Metric.CPU)
        if ratio is not None:
            print(f"{operation.name}: {spread(ratio, 2)} times the CPU of the echo", flush=True)


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(NAMES)}")
    return names


def _stages(text: str) -> tuple[Stage, ...]:
    try:
        return tuple(Stage(name) for name in text.split(","))
    except ValueError:
        accepted = ", ".join(stage.value for stage in Stage)
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {accepted}") from None


def _operations(text: str) -> tuple[Operation, ...]:
    try:
        return tuple(Operation(name) for name in text.split(","))
    except ValueError:
        accepted = ", ".join(operation.value for operation in Operation)
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {accepted}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="echo and ddb, 10,000 users, printed figures only"
    )
    parser.add_argument("--only", type=_operations, help="like --quick, for some of get,put,...")
    parser.add_argument("--targets", type=_names, help=f"some of {','.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (5)")
    parser.add_argument("--seconds", type=int, default=2, help="duration of each run (2)")
    parser.add_argument("--users", type=int, help="number of users (100,000; quick: 10,000)")
    parser.add_argument("--stages", type=_stages, help="some of rounds,nodes,records")
    parser.add_argument("--most", type=int, default=1_000_000, help="most users of growth (10^6)")
    parser.add_argument(
        "--hints", type=int, default=100_000, help="hints to make; 0: no fault (10^5)"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"report's folder ({RESULTS})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
