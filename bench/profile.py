"""The CPU profile of ddb: `python -m bench.profile get`.

The argument is an operation: get, put, post, delete, mix, list or count.

The profiler puts a small cluster under full load and samples the gateway and one node. py-spy
attributes time to lines of Python; the time of a C function counts for the line that calls it.
perf attributes time to functions of the interpreter, the libraries and the kernel. One of the two
tools is enough.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from bench.cpu import Process, threads
from bench.keys import Keys
from bench.targets.ddb import Ddb
from bench.targets.target import end_in_order
from bench.users import Generator, User
from bench.workload import Operation, create, plan
from bench.wrk import Measured, Wrk
from ddb.settings import Fsync

WATCHED = ("gateway", "db-0")
SAMPLES_PER_S = 250
"""Lower: rare functions disappear. Higher: sampling slows the cluster."""
LINES = 25
"""Lines of each list."""
WARM_UP_S = 1.0
"""Load before the first sample. Shorter: the profile contains the opening of connections."""
LEAST_US = 0.5
"""CPU per operation from which a thread gets a line."""
_EMPTY = re.compile(r"[\s-]+$")


def main() -> None:
    """Profile the operation that the arguments name."""
    options = _parser().parse_args()
    end_in_order()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        target = Ddb(directory / "ddb", options.nodes, Fsync(options.fsync))
        stack.callback(target.stop)
        target.start()
        users = Generator().take(options.users)
        target.load(users)
        operation = Operation(options.operation)
        pids = target.cluster.pids()
        _shares(target, operation, users, options.seconds, pids)
        load = threading.Thread(target=_load, args=(target, operation, users, options.seconds + 2))
        load.start()
        load.join(WARM_UP_S)
        watching = [
            (f"{tool} {name}", output, command)
            for name in WATCHED
            for tool, output, command in _tools(directory / name, pids[name], options.seconds)
        ]
        running = [
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _, _, command in watching
        ]
        for process in running:
            process.wait()
        load.join()
        for title, output, _ in watching:
            print(f"\n{title}")
            print(_lines(output) if output.suffix == ".raw" else _symbols(output))


def _load(
    target: Ddb, operation: Operation, users: list[User], seconds: int, first: int = 10**6
) -> Measured:
    if operation is Operation.POST:
        planned = create(target.dialect, users, first, seed=1)
    else:
        places = target.places(users, 20) if operation is Operation.LIST else []
        planned = plan(target.dialect, operation, Keys.UNIFORM, users, places, seed=1)
    return Wrk.find().run(planned, target.host, seconds)


def _shares(
    target: Ddb, operation: Operation, users: list[User], seconds: int, pids: dict[str, int]
) -> None:
    """Print the CPU per operation of every thread of the cluster."""

    def by_thread() -> dict[tuple[str, int], Process]:
        return {(name, each.pid): each for name, pid in pids.items() for each in threads(pid)}

    before = by_thread()
    done = _load(target, operation, users, seconds, first=0)
    print(f"{operation.value}: {done.rate:,.0f}/s, {done.failures} failures; CPU µs/op:")
    for (name, thread), after in by_thread().items():
        then = before.get((name, thread))
        user, system = (
            (now - was) / max(1, done.requests) * 1e6
            for now, was in (
                (after.user, 0.0 if then is None else then.user),
                (after.system, 0.0 if then is None else then.system),
            )
        )
        if user + system >= LEAST_US:
            which = "main" if thread == pids[name] else after.name
            print(f"{user + system:6.1f} = {user:5.1f} user + {system:5.1f} system  {name} {which}")


def _tools(output: Path, pid: int, seconds: int) -> list[tuple[str, Path, list[str]]]:
    """Return name, output file and command of each installed profiler."""
    installed = Path(sys.executable).with_name("py-spy")
    spy = str(installed) if installed.exists() else shutil.which("py-spy")
    perf = shutil.which("perf")
    found = []
    if spy:
        raw = output.with_suffix(".raw")
        options = f"record --gil --nonblocking -f raw -d {seconds} -r {SAMPLES_PER_S}"
        found.append(("py-spy", raw, [spy, *options.split(), "-o", str(raw), "-p", str(pid)]))
    if perf:
        data = output.with_suffix(".perf")
        options = f"record -F {SAMPLES_PER_S} -e cpu-clock -o {data} -p {pid} -- sleep {seconds}"
        found.append(("perf", data, [perf, *options.split()]))
    if not found:
        sys.exit(
            "bench.profile: neither py-spy nor perf is installed, so nothing was sampled;"
            " pip install py-spy, or apt-get install linux-perf"
        )
    return found


def _lines(raw: Path) -> str:
    """Return the lines of Python with the most own time."""
    own, whole, total = Counter[str](), Counter[str](), 0
    for line in raw.read_text().splitlines():
        stack, _, text = line.rpartition(" ")
        frames, count = stack.split(";"), int(text)
        total += count
        own[frames[-1]] += count
        whole.update(dict.fromkeys(frames, count))
    return "\n".join(
        f"{count / total:6.1%} own {whole[frame] / total:6.1%} whole  {frame}"
        for frame, count in own.most_common(LINES)
    )


def _symbols(data: Path) -> str:
    """Return the functions of any language with the most own time."""
    command = ["perf", "report", "-i", str(data), "--stdio", "--sort", "dso,symbol", "-g", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line.rstrip() for line in done.stdout.splitlines() if line and line[0] != "#"]
    return "\n".join(_EMPTY.sub("", line) for line in lines[:LINES])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.profile")
    parser.add_argument("operation", choices=[each.value for each in Operation])
    parser.add_argument("--seconds", type=int, default=5, help="duration of sampling (5)")
    parser.add_argument("--users", type=int, default=10_000, help="number of users (10,000)")
    parser.add_argument("--nodes", type=int, default=3, help="nodes of the cluster (3)")
    parser.add_argument("--fsync", choices=[each.value for each in Fsync], default="always")
    return parser


if __name__ == "__main__":
    main()
