"""The promise on real processes under load, with every kind of fault on one node."""

import asyncio
import os
import random
import time
from pathlib import Path

import pytest
import uvloop

from tests.cluster import Cluster
from tests.faults.breaker import Breaker, plan
from tests.faults.journal import Journal, Phase
from tests.faults.load import Load
from tests.faults.watchdog import Watchdog, flusher, queue_reader, sleepers
from tests.system.homes import Homes

ROUNDS = 3
WRITES = 20_000
MAX_LOAD_S = 240.0
"""Too low: a slow machine does not reach `WRITES`. Too high: a stuck run takes long."""


@pytest.mark.timeout(600)
def test_faults_under_load(tmp_path: Path) -> None:
    """During every kind of fault each answer is correct and in time, and each write durable."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"\nseed {seed}")
    watchdog = Watchdog([*sleepers(), queue_reader(), flusher(tmp_path)])
    watchdog.start()
    try:
        with Cluster(tmp_path) as cluster:
            journal, summary = uvloop.run(_run(cluster, random.Random(seed)))
            logs = cluster.logs()
    finally:
        watchdog.stop()
    print(journal.table(watchdog))
    print(summary)
    print(watchdog)
    for slow in journal.slow[:20]:
        print("  ", slow.describe(watchdog))
    complaints = journal.complaints(watchdog)
    if complaints:
        print(logs)
    assert not complaints, "\n".join(complaints)


async def _run(cluster: Cluster, rng: random.Random) -> tuple[Journal, str]:
    homes = Homes(cluster)
    load = Load(cluster.port, rng)
    try:
        return load.journal, await _break(cluster, homes, load, rng)
    finally:
        await load.close()


async def _break(cluster: Cluster, homes: Homes, load: Load, rng: random.Random) -> str:
    """Run the load and all faults; return a summary. Violations are in the journal."""
    journal, book = load.journal, load.book
    breaker = Breaker(cluster, homes, journal, load.rush, rng)
    began = time.monotonic()
    await load.start()
    await breaker.heal("no node")
    for fault in plan(homes.ring.names, ROUNDS, rng):
        await asyncio.sleep(rng.uniform(0.3, 1.5))
        load.check()
        if not await breaker.do(fault):
            break
    await asyncio.sleep(0.5)
    await breaker.kill_all()
    while journal.writes.total() < WRITES and time.monotonic() - began < MAX_LOAD_S:
        await asyncio.sleep(0.5)
        load.check()
    await load.stop()
    under_load = time.monotonic() - began
    await breaker.heal("the last load")
    # A flush that comes too late would lose the last acknowledged writes.
    await breaker.kill_all()
    differing = homes.differing()
    live = await load.read_back()
    by_cursor = await load.list_all(1000, by_cursor=True)
    by_offset = await load.list_all(997, by_cursor=False)
    count = await load.count()

    for key in differing:
        journal.violation(f"at the end the homes store different states of {key!r}")
    if not live == len(set(by_cursor)) == count or by_cursor != by_offset:
        journal.violation(
            f"at the end {live} records exist, COUNT is {count}, LIST has {len(by_cursor)} rows"
            f" by cursor and {len(by_offset)} by offset, {len(set(by_cursor))} of them different"
        )
    writes = sum(record.writes for record in book.records.values())
    checked = sum(record.checked for record in book.records.values())
    if checked != writes or writes < WRITES:
        journal.violation(f"{checked} of {writes} acknowledged writes were checked, not {WRITES}")
    if journal.faults.total() - journal.faults[Phase.ALL] < 20:
        journal.violation(f"{journal.faults.total()} faults are too few")
    return (
        f"{writes} writes acknowledged in {under_load:.0f} s under load, {checked} checked one by"
        f" one at the end; {len(book.records)} records, {live} exist; recovered after"
        f" {max(breaker.healed):.1f} s at most; own event loop late by"
        f" {load.lateness.worst * 1000:.0f} ms at worst"
    )
