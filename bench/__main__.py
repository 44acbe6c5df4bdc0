"""`python -m bench`: see bench/README.md."""

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
from bench.targets.target import Failed, Missing, Target, end_in_order
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
    """Parts of the whole, which can be run by themselves."""

    ROUNDS = "rounds"
    """Every system under every load."""
    NODES = "nodes"
    """ddb on more and more nodes."""
    RECORDS = "records"
    """ddb with more and more records, then a fault, then its disk."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested stages; 0 where every system ran and answered, else 1."""
    said = _parser().parse_args(arguments)
    end_in_order()
    began = time.monotonic()
    try:
        code = _run(said)
    except (Failed, Missing, WrkError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    _say(f"all in {time.monotonic() - began:.0f} s")
    return code


def _run(said: argparse.Namespace) -> int:
    small = said.quick or said.only is not None
    stages = said.stages or ((Stage.ROUNDS,) if small else tuple(Stage))
    names = said.targets or (("echo", "ddb") if small else NAMES)
    count = said.users or (10_000 if small else 100_000)
    wrk = Wrk.find()
    if not small and importlib.util.find_spec("matplotlib") is None:
        raise Missing("matplotlib is not installed: pip install -r bench/requirements.txt")
    _say(f"{describe()}; {wrk.version()}; {count:,} users")
    results, code = Results(), 0
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        if Stage.ROUNDS in stages:
            code = _rounds(said, names, Generator().take(count), directory, results)
        growth = _growth(said, stages, directory)
    if small:
        print(brief(results, names))
        _print_ratios(results)
        return code
    said.out.mkdir(parents=True, exist_ok=True)
    page = report(results, names, growth, count, wrk.version())
    (said.out / "results.md").write_text(page, encoding="utf-8")
    _say(f"written: {said.out}/results.md")
    if results.samples:
        from bench.picture import draw

        draw(results, names, growth, said.out / "results.png")
        _say(f"drawn: {said.out}/results.png")
    return code


def _rounds(
    said: argparse.Namespace,
    names: Sequence[str],
    users: list[User],
    directory: Path,
    results: Results,
) -> int:
    small = said.quick or said.only is not None
    only = said.only or tuple(Operation)
    loads = [
        load
        for load in LOADS
        if load.operation in only and (not small or load.keys is Keys.UNIFORM)
    ]
    with ExitStack() as stack:
        targets = _started(names, directory, results, stack)
        for target in targets:
            began = time.monotonic()
            target.load(users)
            if Operation.POST in target.operations:
                verify(Loaded(target, users))
            _say(f"{target.name} is loaded: {time.monotonic() - began:.0f} s")
        bench = Bench(Wrk.find(), [Loaded(target, users) for target in targets], _say)
        stack.callback(bench.close)
        bench.run(loads, said.rounds, said.seconds, results)
    return _complete(results, targets, loads, said.rounds)


def _growth(said: argparse.Namespace, stages: Sequence[Stage], directory: Path) -> Growth | None:
    if Stage.NODES not in stages and Stage.RECORDS not in stages:
        return None
    run = GrowthRun(directory / "growth", Generator().take(said.most), _say)
    if Stage.NODES in stages:
        run.by_nodes(said.rounds)
    if Stage.RECORDS in stages:
        run.by_records(said.rounds, said.hints)
    return run.growth


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


def _print_ratios(results: Results) -> None:
    """Print ddb's CPU per operation relative to the echo's, where both were measured."""
    for operation in (Operation.GET, Operation.PUT):
        load = Load(operation, Keys.UNIFORM)
        ratio = results.ratio(load, "ddb", "echo", Metric.CPU)
        if ratio is not None:
            print(
                f"{operation.name}: {spread(ratio, 2)} times the CPU of the bare echo", flush=True
            )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(NAMES)}")
    return names


def _stages(text: str) -> tuple[Stage, ...]:
    try:
        return tuple(Stage(name) for name in text.split(","))
    except ValueError:
        known = ", ".join(stage.value for stage in Stage)
        raise argparse.ArgumentTypeError(f"{text} is not a list of {known}") from None


def _operations(text: str) -> tuple[Operation, ...]:
    try:
        return tuple(Operation(name) for name in text.split(","))
    except ValueError:
        known = ", ".join(operation.value for operation in Operation)
        raise argparse.ArgumentTypeError(f"{text} is not a list of {known}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="two minutes; fails where a system did not answer"
    )
    parser.add_argument("--only", type=_operations, help="get,put,...: these, on 10,000 users")
    parser.add_argument("--targets", type=_names, help=f"some of {','.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=int, default=2, help="of each run (2)")
    parser.add_argument("--users", type=int, help="to load first (100,000; small runs 10,000)")
    parser.add_argument("--stages", type=_stages, help="some of rounds,nodes,records")
    parser.add_argument("--most", type=int, default=1_000_000, help="records to grow to (10^6)")
    parser.add_argument("--hints", type=int, default=100_000, help="to drain; 0: no fault (10^5)")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"for the report ({RESULTS})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
