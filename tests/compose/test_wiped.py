"""The loss of a disk under load, with a new disk afterwards."""

import asyncio
import random
import time
from typing import Any

import pytest
import uvloop

from tests.compose.copies import Copies
from tests.compose.stack import PORT, PROJECT, Stack, docker
from tests.compose.watch import watching
from tests.faults.client import Client
from tests.faults.load import Load
from tests.faults.oracle import Record
from tests.faults.owner import Owner
from tests.faults.watchdog import Watchdog

RECORDS = 8_000
"""Records before the loss, in addition to those of the load.

Fewer: the rebuild ends before its progress shows in the status.
"""
CLIENTS = 16
REBUILD_TIMEOUT_S = 60.0
"""Time for the rebuild. Lower: a busy machine fails the test."""


@pytest.mark.timeout(300)
def test_wiped_node(stack: Stack) -> None:
    """A node with a new disk votes only after its rebuild, and no request fails meanwhile."""
    watchdog = watching()
    try:
        complaints, summary = uvloop.run(_run(stack, watchdog))
    finally:
        watchdog.stop()
    print(f"\n{summary}\n{watchdog}")
    assert not complaints, "\n".join(complaints)


async def _run(stack: Stack, watchdog: Watchdog) -> tuple[list[str], str]:
    copies = Copies(stack.names)
    load = Load(PORT, random.Random(4))
    journal = load.journal
    await load.start()
    await _fill(load)
    before = await copies.facts("db-2")
    assert before is not None
    await asyncio.to_thread(stack.compose, "rm", "-s", "-f", "db-2")
    await asyncio.to_thread(docker, "volume", "rm", f"{PROJECT}_db-2")
    await asyncio.sleep(1.0)
    await asyncio.to_thread(stack.compose, "up", "-d", "--no-deps", "db-2")
    observed = await _watch(copies)
    load.check()
    await asyncio.sleep(1.0)
    await load.stop()
    async with asyncio.timeout(REBUILD_TIMEOUT_S):
        while not await copies.settled():  # noqa: ASYNC110  # Containers signal no event.
            await asyncio.sleep(0.1)
    after = await copies.facts("db-2")
    unequal = await copies.unequal()
    live = await load.read_back()
    listed = await load.list_all(1000, by_cursor=True)
    count = await load.count()
    await load.close()
    assert after is not None
    if after["node_id"] == before["node_id"]:
        journal.violation("the node has its old id on a new disk")
    if unequal:
        journal.violation(f"after the load, the homes of {len(unequal)} partitions differ")
    if not live == len(set(listed)) == count:
        journal.violation(
            f"after the load, GET finds {live} records, LIST {len(listed)}, COUNT {count}"
        )
    progress = [each["refill"] for each in observed if each["refill"] is not None]
    if not progress:
        journal.violation("the status never showed the progress of the rebuild")
    if any(each["state"] == "ready" and each["refill"] for each in observed):
        journal.violation("the node voted during its rebuild")
    watchdog.stop()
    return journal.complaints(watchdog), (
        f"db-2 lost {before['records']} records and copied {after['counters']['refilled']};"
        f" progress: {', '.join(format(each['done'], '.0%') for each in progress)}; {live}"
        f" records after the load"
    )


async def _fill(load: Load) -> None:
    """Create records that the load does not change."""
    numbers = iter(range(RECORDS))

    async def fill(owner: Owner) -> None:
        for number in numbers:
            await owner._create(Record(f"fixed-{number}"))

    clients = [Client(PORT, load.lateness, load.journal) for _ in range(CLIENTS)]
    owners = [Owner("filler", client, load.book, random.Random(7)) for client in clients]
    await asyncio.gather(*map(fill, owners))
    for client in clients:
        client.close()


async def _watch(copies: Copies) -> list[dict[str, Any]]:
    """Collect the status of db-2 until it votes."""
    observed: list[dict[str, Any]] = []
    began = time.monotonic()
    while time.monotonic() - began < REBUILD_TIMEOUT_S:
        facts = await copies.facts("db-2")
        if facts is not None:
            observed.append(facts)
            if facts["state"] == "ready":
                return observed
        await asyncio.sleep(0.01)
    raise AssertionError(f"db-2 does not vote after {REBUILD_TIMEOUT_S:.0f} s: {observed[-1:]}")
