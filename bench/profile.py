"""Where the time goes: `python -m bench.profile get` (put, post, delete, mix, list, count).

Puts a small cluster under full load and looks into the gateway and into one node: with py-spy by
line of Python (what a C function takes counts for the line that calls it), with perf by function of
the interpreter, the libraries and the kernel. What is not installed is left out.
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
RATE = 250
"""Samples a second."""
LINES = 25
WARM = 1.0
LEAST = 0.5
"""Microseconds that are worth a line."""
_EMPTY = re.compile(r"[\s-]+$")


def main() -> None:
    """Profile what the arguments ask for."""
    said = _parser().parse_args()
    end_in_order()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        target = Ddb(directory / "ddb", said.nodes, Fsync(said.fsync))
        stack.callback(target.stop)
        target.start()
        users = Generator().take(said.users)
        target.load(users)
        operation = Operation(said.operation)
        pids = target.cluster.pids()
        _shares(target, operation, users, said.seconds, pids)
        load = threading.Thread(target=_load, args=(target, operation, users, said.seconds + 2))
        load.start()
        load.join(WARM)
        watching = [
            (f"{tool} {name}", output, command)
            for name in WATCHED
            for tool, output, command in _tools(directory / name, pids[name], said.seconds)
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
    """Print what each thread of each process takes for an operation."""

    def spent() -> dict[tuple[str, int], Process]:
        return {(name, each.pid): each for name, pid in pids.items() for each in threads(pid)}

    before = spent()
    done = _load(target, operation, users, seconds, first=0)
    print(f"{operation.value}: {done.rate:,.0f}/s, {done.failures} failures; CPU µs/op:")
    for (name, thread), after in spent().items():
        then = before.get((name, thread))
        user, system = (
            (now - was) / max(1, done.requests) * 1e6
            for now, was in (
                (after.user, 0.0 if then is None else then.user),
                (after.system, 0.0 if then is None else then.system),
            )
        )
        if user + system >= LEAST:
            which = "main" if thread == pids[name] else after.name
            print(f"{user + system:6.1f} = {user:5.1f} user + {system:5.1f} system  {name} {which}")


def _tools(output: Path, pid: int, seconds: int) -> list[tuple[str, Path, list[str]]]:
    """Programs to run: py-spy beside this Python or in the path, and perf."""
    beside = Path(sys.executable).with_name("py-spy")
    spy = str(beside) if beside.exists() else shutil.which("py-spy")
    perf = shutil.which("perf")
    found = []
    if spy:
        raw = output.with_suffix(".raw")
        options = f"record --gil --nonblocking -f raw -d {seconds} -r {RATE} -o {raw} -p {pid}"
        found.append(("py-spy", raw, [spy, *options.split()]))
    if perf:
        data = output.with_suffix(".perf")
        options = f"record -F {RATE} -e cpu-clock -o {data} -p {pid} -- sleep {seconds}"
        found.append(("perf", data, [perf, *options.split()]))
    if not found:
        sys.exit(
            "neither py-spy nor perf is installed: pip install py-spy, or apt-get install"
            " linux-perf"
        )
    return found


def _lines(raw: Path) -> str:
    """The lines of Python with the most time of their own, and with what they call."""
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
    """The functions with the most time of their own, of whatever language."""
    command = ["perf", "report", "-i", str(data), "--stdio", "--sort", "dso,symbol", "-g", "none"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line.rstrip() for line in said.stdout.splitlines() if line and line[0] != "#"]
    return "\n".join(_EMPTY.sub("", line) for line in lines[:LINES])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.profile")
    parser.add_argument("operation", choices=[each.value for each in Operation])
    parser.add_argument("--seconds", type=int, default=5, help="to watch (5)")
    parser.add_argument("--users", type=int, default=10_000, help="to load first (10,000)")
    parser.add_argument("--nodes", type=int, default=3, help="of the cluster (3)")
    parser.add_argument("--fsync", choices=[each.value for each in Fsync], default="always")
    return parser


if __name__ == "__main__":
    main()
