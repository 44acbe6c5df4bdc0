"""The gate: `python -m tests.sim.mutants` plants each bug in turn and must find it.

It prints the number of seeds for each bug. `--only NAME ...` plants some bugs only. `--shrink`
shrinks the failing plans. `--check-applies` takes seconds to check that each patch fits its module.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from tests.sim.mutants.plant import DoesNotApply, check_applies
from tests.sim.mutants.table import MUTANTS

_HUNT_TIMEOUT_S = 3600
"""Too low loses a slow hunt; too high delays the report of a hang."""


def hunt(name: str, seeds: int, shrink: bool) -> dict[str, object]:
    """Hunt one mutant in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.sim.mutants.one", name, str(seeds)]
    try:
        done = subprocess.run(
            command + (["shrink"] if shrink else []),
            capture_output=True,
            text=True,
            timeout=_HUNT_TIMEOUT_S,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"name": name, "applies": False, "message": f"no result within {_HUNT_TIMEOUT_S} s"}
    lines = done.stdout.strip().splitlines()
    if not lines:
        return {"name": name, "applies": False, "message": done.stderr[-600:]}
    found: dict[str, object] = json.loads(lines[-1])
    return found


def hunts(names: list[str], seeds: int, jobs: int, shrink: bool) -> Iterator[dict[str, object]]:
    """Hunt mutants, `jobs` at a time, and yield each result as it comes."""
    with ThreadPoolExecutor(jobs) as pool:
        hunting = [pool.submit(hunt, name, seeds, shrink) for name in names]
        for done in as_completed(hunting):
            yield done.result()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1500, help="most seeds per mutant")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument(
        "--check-applies", action="store_true", help="only check that every patch still fits"
    )
    given = parser.parse_args()
    if given.check_applies:
        return _check_all()
    names = [mutant.name for mutant in MUTANTS if given.only is None or mutant.name in given.only]
    survivors, sizes = [], []
    for found in hunts(names, given.seeds, given.jobs, given.shrink):
        name = str(found["name"])
        if found.get("seeds") is None:
            survivors.append(name)
            why = f"does not apply: {found.get('message')}" if not found["applies"] else "SURVIVES"
            print(f"{name:32} {why}", flush=True)
            continue
        size = ""
        if "operations" in found:
            sizes.append(int(str(found["operations"])))
            size = f", shrunk to {found['operations']} operations and {found['faults']} faults"
        message = str(found["message"]).splitlines()[0][:110]
        seeds = f"{found['seeds']} {found['family']} seeds"
        print(f"{name:32} {seeds:18} {found['checker']}: {message}{size}", flush=True)
    median = f", median {statistics.median(sizes):g} operations" if sizes else ""
    print(f"{len(names) - len(survivors)} of {len(names)} mutants found{median}", flush=True)
    return 1 if survivors else 0


def _check_all() -> int:
    """Print each mutant whose patches no longer fit, and return the exit code."""
    failures = 0
    for mutant in MUTANTS:
        try:
            check_applies(mutant)
        except (DoesNotApply, SyntaxError) as error:
            failures += 1
            print(f"{mutant.name}: {error}", flush=True)
    print(f"{len(MUTANTS) - failures} of {len(MUTANTS)} mutants apply", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
