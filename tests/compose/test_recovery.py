"""The recovery test: under load from outside, each node is stopped, killed, frozen and cut off."""

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

HEALS_WITHIN = 30.0
ORDER = (1, 0, 2)
SHORT = 5.0
NETWORK = f"{PROJECT}_default"
_CRASH = "import os; os.kill(int(open('/proc/1/task/1/children').read()), 9)"
"""Ends the process under the container's init, which then ends too; the engine begins again."""


@dataclass(frozen=True)
class Step:
    """One thing done to the cluster. `value` is its name, as the journal calls it."""

    value: str
    breaks: str
    seconds: float
    heals: str


def plan() -> list[Step]:
    """The user's stop of a minute for each node, then the harsher ends, each a few seconds."""
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
            Step(f"kill {name}", f"docker kill -s KILL {name}", SHORT, f"docker start {name}"),
            Step(f"pause {name}", f"docker pause {name}", SHORT, f"docker unpause {name}"),
            Step(f"cut off {name}", cut, SHORT, join),
            Step(f"crash {name}", crash, 0.0, "true"),
        ]
    return steps


@pytest.mark.timeout(900)
def test_recovery(stack: Stack) -> None:
    """Through every loss of one node each request is answered rightly within 250 ms, and kept."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"\nseed {seed}")
    watchdog = watching()
    try:
        journal, healed, told = uvloop.run(_run(stack, random.Random(seed)))
    finally:
        watchdog.stop()
    print(_table(journal, healed, watchdog))
    print(told)
    print(watchdog)
    for slow in journal.slow:
        print("  ", slow.told(watchdog))
    complaints = journal.complaints(watchdog)
    if complaints:
        print(stack.compose("logs", "--no-color", "--tail=100"))
    assert not complaints, "\n".join(complaints)


async def _run(stack: Stack, rng: random.Random) -> tuple[Journal, dict[Step, float], str]:
    copies, load = Copies(stack.names), Load(PORT, rng)
    journal = load.journal
    began = time.monotonic()
    await load.start()
    healed: dict[Step, float] = {}
    for step in plan():
        # The journal keeps apart what it is told to; it need not know the name before.
        journal.phase = cast("Phase", step)
        await _do(stack, journal, step.breaks)
        await asyncio.sleep(step.seconds)
        await _do(stack, journal, step.heals)
        healed[step] = await _heal(copies, journal, step.value)
        load.check()
    journal.phase = Phase.CALM
    await load.stop()
    under_load = time.monotonic() - began
    await _heal(copies, journal, "the last load")
    unequal = await copies.unequal()
    live = await load.read_back()
    listed = await load.list_all(1000, by_cursor=True)
    count = await load.count()
    await load.close()
    if unequal:
        journal.violation(f"at the end the homes of {len(unequal)} partitions differ")
    if not live == len(set(listed)) == len(listed) == count:
        journal.violation(f"at the end {live} live, LIST has {len(listed)} rows, COUNT {count}")
    records = load.book.records.values()
    writes = sum(record.writes for record in records)
    checked = sum(record.checked for record in records)
    if checked != writes:
        journal.violation(f"{checked} of {writes} acknowledged writes were checked")
    told = (
        f"{writes} writes acknowledged in {under_load:.0f} s under load, {checked} checked one by"
        f" one at the end; {len(load.book.records)} records, {live} live; own loop late by"
        f" {load.lateness.worst * 1000:.0f} ms at worst"
    )
    return journal, healed, told


async def _do(stack: Stack, journal: Journal, command: str) -> None:
    journal.did(f"the beginning of {command}")
    program, *words = shlex.split(command)
    if program == "docker-compose":
        await asyncio.to_thread(stack.compose, *words)
    else:
        # What is run inside a container may end with the process that it kills there.
        await asyncio.to_thread(run, program, *words, check="exec" not in words[:1])
    journal.did(f"the end of {command}")


async def _heal(copies: Copies, journal: Journal, what: str) -> float:
    """Seconds until no hint waits and the homes of each partition have been seen equal."""
    began = time.monotonic()
    unequal = set(range(PARTITIONS))
    while unequal:
        if await copies.settled():
            # Seen equal once is enough, and all that can be had while writes go on.
            unequal &= await copies.unequal()
        if time.monotonic() - began > HEALS_WITHIN:
            journal.violation(f"{HEALS_WITHIN:.0f} s after {what} not healed: {len(unequal)} left")
            break
        await asyncio.sleep(0.2)
    return time.monotonic() - began


def _table(journal: Journal, healed: dict[Step, float], watchdog: Watchdog) -> str:
    """A line per step; milliseconds, without what this process itself was late by."""
    title = (
        f"{'step':<20}{'requests':>9}{'p50':>7}{'p99':>7}{'p99.9':>7}{'max':>7}"
        f"{'late':>7}{'wrong':>7}{'healed':>9}"
    )
    lines = [title]
    for step, seconds in healed.items():
        phase = cast("Phase", step)
        took = sorted(journal._latencies[phase]) or [0.0]
        late = sum(each.phase is phase and each.own_fault(watchdog) for each in journal.slow)
        p50, p99, p999 = (took[int(len(took) * part)] * 1000 for part in (0.5, 0.99, 0.999))
        lines.append(
            f"{step.value:<20}{len(took):>9}{p50:>7.1f}{p99:>7.1f}{p999:>7.1f}"
            f"{took[-1] * 1000:>7.1f}{late:>7}{sum(each is phase for each, _ in journal.wrong):>7}"
            f"{seconds:>7.1f} s"
        )
    return "\n".join(lines)
