"""A node that has lost its disk: container and volume removed, and started empty, under load."""

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
"""Made before the loss, beside what the load makes: so many that a refill takes a moment."""
AT_ONCE = 16
REFILLED_WITHIN = 60.0


@pytest.mark.timeout(300)
def test_wiped_node(stack: Stack) -> None:
    """A wiped node answers nothing until it holds its share again, and meanwhile nothing fails."""
    watchdog = watching()
    try:
        complaints, told = uvloop.run(_run(stack, watchdog))
    finally:
        watchdog.stop()
    print(f"\n{told}\n{watchdog}")
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
    seen = await _watch(copies)
    load.check()
    await asyncio.sleep(1.0)
    await load.stop()
    async with asyncio.timeout(REFILLED_WITHIN):
        while not await copies.settled():  # noqa: ASYNC110  # It is containers that are waited for.
            await asyncio.sleep(0.1)
    after = await copies.facts("db-2")
    unequal = await copies.unequal()
    live = await load.read_back()
    listed = await load.list_all(1000, by_cursor=True)
    count = await load.count()
    await load.close()
    assert after is not None
    if after["node_id"] == before["node_id"]:
        journal.violation("the wiped node has its old id")
    if unequal:
        journal.violation(f"at the end the homes of {len(unequal)} partitions differ")
    if not live == len(set(listed)) == count:
        journal.violation(f"at the end {live} live, LIST has {len(listed)}, COUNT says {count}")
    progress = [each["refill"] for each in seen if each["refill"] is not None]
    if not progress:
        journal.violation("no progress of a refill was seen")
    if any(each["state"] == "ready" and each["refill"] for each in seen):
        journal.violation("the node voted while it was being refilled")
    watchdog.stop()
    return journal.complaints(watchdog), (
        f"{before['records']} records lost with db-2, {after['counters']['refilled']} taken over;"
        f" progress seen: {', '.join(format(each['done'], '.0%') for each in progress)}; {live}"
        f" records at the end"
    )


async def _fill(load: Load) -> None:
    """Records that stay as they are."""
    numbers = iter(range(RECORDS))

    async def fill(owner: Owner) -> None:
        for number in numbers:
            await owner._create(Record(f"fixed-{number}"))

    clients = [Client(PORT, load.lateness, load.journal) for _ in range(AT_ONCE)]
    owners = [Owner("filler", client, load.book, random.Random(7)) for client in clients]
    await asyncio.gather(*map(fill, owners))
    for client in clients:
        client.close()


async def _watch(copies: Copies) -> list[dict[str, Any]]:
    """What db-2 says of itself until it votes."""
    seen: list[dict[str, Any]] = []
    began = time.monotonic()
    while time.monotonic() - began < REFILLED_WITHIN:
        facts = await copies.facts("db-2")
        if facts is not None:
            seen.append(facts)
            if facts["state"] == "ready":
                return seen
        await asyncio.sleep(0.01)
    raise AssertionError(f"db-2 does not vote after {REFILLED_WITHIN:.0f} s: {seen[-1:]}")
