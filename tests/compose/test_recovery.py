"""The recovery test: faults of each node under load."""

import asyncio
import os
import random
import shlex
import time
from dataclasses import dataclass
from typing import cast

import pytest
import uvloop

from ddb.ring.ring import PARTITIONS
from tests.compose.copies import Copies
from tests.compose.stack import PORT, PROJECT, Stack, run
from tests.compose.watch import watching
from tests.faults.journal import Journal, Phase
from tests.faults.load import Load
from tests.faults.watchdog import Watchdog

RECOVERY_TIMEOUT_S = 30.0
"""Time from the end of a fault to equal homes. Lower: a busy machine fails the test."""
ORDER = (1, 0, 2)
"""The nodes in the order of their faults."""
SHORT_S = 5.0
"""Duration of a short fault. Lower: fewer hints per fault."""
PAUSES = 2.0
"""A factor of the load's pauses.

Lower: cluster, load and engine need more than two thirds of two processors. A container that starts
then makes all of them wait. Higher: fewer requests during each fault.
"""
NETWORK = f"{PROJECT}_default"
_CRASH = "import os; os.kill(int(open('/proc/1/task/1/children').read()), 9)"
"""Kills the child of the container's init. Init then ends too, and the engine restarts both."""


@dataclass(frozen=True)
class Step:
    """One fault and its end.

    `value`: the name in the journal. `breaks`, `heals`: the commands that begin and end the fault.
    `seconds`: the time between them.
    """

    value: str
    breaks: str
    seconds: float
    heals: str


def plan() -> list[Step]:
    """Return the steps.

    Each node stops for a minute. Then follow short and harsher faults of each node.
    """
    steps = [Step("no fault", "true", 10.0, "true")]
    for number in ORDER:
        name = f"db-{number}"
        stop, start = f"docker-compose stop {name}", f"docker-compose start {name}"
        steps.append(Step(f"stop {name}, 60 s", stop, 60.0, start))
    for number in ORDER:
        name = f"db-{number}"
        cut = f"docker network disconnect {NETWORK} {name}"
        join = f"docker network connect {NETWORK} {name}"
        crash = f'docker exec {name} python -c "{_CRASH}"'
        steps += [
            Step(f"kill {name}", f"docker kill -s KILL {name}", SHORT_S, f"docker start {name}"),
            Step(f"pause {name}", f"docker pause {name}", SHORT_S, f"docker unpause {name}"),
            Step(f"cut off {name}", cut, SHORT_S, join),
            Step(f"crash {name}", crash, 0.0, "true"),
        ]
    return steps


@pytest.mark.timeout(900)
def test_recovery(stack: Stack) -> None:
    """During each fault of one node, every answer is correct and takes at most 250 ms."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"\nseed {seed}")
    watchdog = watching()
    try:
        journal, healed, summary = uvloop.run(_run(stack, random.Random(seed)))
    finally:
        watchdog.stop()
    print(_table(journal, healed, watchdog))
    print(summary)
    print(watchdog)
    for slow in journal.slow:
        print("  ", slow.describe(watchdog))
    complaints = journal.complaints(watchdog)
    if complaints:
        print(stack.compose("logs", "--no-color", "--tail=100"))
    assert not complaints, "\n".join(complaints)


async def _run(stack: Stack, rng: random.Random) -> tuple[Journal, dict[Step, float], str]:
    copies, load = Copies(stack.names), Load(PORT, rng, PAUSES)
    journal = load.journal
    began = time.monotonic()
    await load.start()
    healed: dict[Step, float] = {}
    for step in plan():
        # The journal groups its figures by `phase`, and uses nothing of it but `value`.
        journal.phase = cast("Phase", step)
        await _do(stack, journal, step.breaks)
        await asyncio.sleep(step.seconds)
        await _do(stack, journal, step.heals)
        healed[step] = await _wait_until_healed(copies, journal, step.value)
        load.check()
    journal.phase = Phase.CALM
    await load.stop()
    under_load = time.monotonic() - began
    await _wait_until_healed(copies, journal, "the last load")
    unequal = await copies.unequal()
    live = await load.read_back()
    listed = await load.list_all(1000, by_cursor=True)
    count = await load.count()
    await load.close()
    if unequal:
        journal.violation(f"after the load, the homes of {len(unequal)} partitions differ")
    if not live == len(set(listed)) == len(listed) == count:
        journal.violation(
            f"after the load, GET finds {live} records, LIST {len(listed)}, COUNT {count}"
        )
    records = load.book.records.values()
    writes = sum(record.writes for record in records)
    checked = sum(record.checked for record in records)
    if checked != writes:
        journal.violation(f"{checked} of {writes} acknowledged writes were checked")
    summary = (
        f"{writes} writes acknowledged in {under_load:.0f} s under load, {checked} of them checked"
        f" afterwards; {len(load.book.records)} records, {live} live; the event loop of the test"
        f" was late by at most {load.lateness.worst * 1000:.0f} ms"
    )
    return journal, healed, summary


async def _do(stack: Stack, journal: Journal, command: str) -> None:
    journal.did(f"the beginning of {command}")
    program, *arguments = shlex.split(command)
    if program == "docker-compose":
        await asyncio.to_thread(stack.compose, *arguments)
    else:
        # A command inside a container may fail when the process that it kills ends the container.
        await asyncio.to_thread(run, program, *arguments, check="exec" not in arguments[:1])
    journal.did(f"the end of {command}")


async def _wait_until_healed(copies: Copies, journal: Journal, event: str) -> float:
    """Return the seconds until the cluster has recovered.

    Recovered: no hint is left, and the homes of each partition were equal once. After
    `RECOVERY_TIMEOUT_S` the journal records a violation; `event` names the fault there.
    """
    began = time.monotonic()
    unequal = set(range(PARTITIONS))
    while unequal:
        if await copies.settled():
            # One observation of equal homes suffices, because writes continue.
            unequal &= await copies.unequal()
        if time.monotonic() - began > RECOVERY_TIMEOUT_S:
            journal.violation(
                f"{RECOVERY_TIMEOUT_S:.0f} s after {event}, {len(unequal)} partitions are not equal"
            )
            break
        await asyncio.sleep(0.2)
    return time.monotonic() - began


def _table(journal: Journal, healed: dict[Step, float], watchdog: Watchdog) -> str:
    """Return a line per step.

    Latencies are in milliseconds, without the delays of this process.
    """
    title = (
        f"{'step':<20}{'requests':>9}{'p50':>7}{'p99':>7}{'p99.9':>7}{'max':>7}"
        f"{'late':>7}{'wrong':>7}{'healed':>9}"
    )
    lines = [title]
    for step, seconds in healed.items():
        phase = cast("Phase", step)
        took = sorted(journal._latencies[phase]) or [0.0]
        late = sum(each.phase is phase and each.is_cluster_fault(watchdog) for each in journal.slow)
        p50, p99, p999 = (took[int(len(took) * part)] * 1000 for part in (0.5, 0.99, 0.999))
        lines.append(
            f"{step.value:<20}{len(took):>9}{p50:>7.1f}{p99:>7.1f}{p999:>7.1f}"
            f"{took[-1] * 1000:>7.1f}{late:>7}{sum(each is phase for each, _ in journal.wrong):>7}"
            f"{seconds:>7.1f} s"
        )
    return "\n".join(lines)
