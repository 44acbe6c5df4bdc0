"""Disks that fill up: what is refused, what goes on, and what is there when space returns."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import wait_for
from tests.compose.stack import PORT, SMALL, Stack, docker, fetch, insist, inspect, user
from tests.faults.http import Connection, Lateness, Lost, Refused

FAILING = Path(__file__).parent / "failing_store.py"
PATH = "/api/users/"
NODES = ("db-0", "db-1", "db-2")
KNOWN = 200
WRITERS = 64
SCARCE = 100
"""Megabytes left at which changes are declined and deletes are not."""


@pytest.fixture
def small() -> Iterator[Stack]:
    """A cluster on small disks, with some users."""
    with Stack(SMALL) as stack:
        for number in range(KNOWN):
            assert fetch("POST", PATH, user(f"known-{number}"))[0] == 201
        yield stack


def test_all_disks_full(small: Stack) -> None:
    """On full disks changes are refused as not applied, reads go on, and space brings all back."""
    leave_free(SCARCE)
    assert_declined("POST", PATH, user("too-much"))
    assert_declined("PUT", PATH, {"id": "known-1", "group": 2})
    assert_reads_go_on(KNOWN)
    assert fetch("DELETE", PATH + "known-0")[0] == 204, "a delete is how a client makes room"
    table = small.compose("exec", "-T", "gateway", "ddb", "status")
    print(table)
    assert table.count("disk full") == len(NODES)

    leave_free(0)
    assert_declined("DELETE", PATH + "known-1", None)
    assert_declined("POST", PATH, user("too-much"))
    assert_reads_go_on(KNOWN - 1)
    assert restarts() == [0, 0, 0], "no node has stopped for want of space"

    docker("restart", "-t", "5", "db-1")
    assert wait_for(lambda: "db-1 waits: /data has 0 MB free" in small.logs("db-1"), 20)
    # Its copies would have to be made again elsewhere, and there is no room for that.
    status, answer = fetch("GET", PATH + "known-7")
    assert (status, answer) == (200, user("known-7")) or answer["applied"] == "no"

    make_room()
    assert wait_for(lambda: fetch("POST", PATH, user("room-again"))[0] == 201, 20)
    assert wait_for(lambda: small.facts("db-1")["state"] == "up", 20)
    assert fetch("GET", PATH + "too-much")[0] == 404
    assert_reads_go_on(KNOWN)


def test_one_disk_full(small: Stack) -> None:
    """While one node's disk is full the other two go on with everything."""
    leave_free(0, NODES[:1])
    for number in range(30):
        assert fetch("POST", PATH, user(f"others-{number}"))[0] == 201
        assert fetch("PUT", PATH, {"id": f"known-{number}", "group": 2})[0] == 200
    assert fetch("GET", PATH + "count") == (200, {"count": KNOWN + 30})
    make_room()
    assert wait_for(lambda: not any(small.facts(name)["hints"] for name in NODES), 20)


@pytest.mark.timeout(240)
def test_disks_fail_under_writes(small: Stack) -> None:
    """Disks that fill at once, in the middle of writes, lose nothing that was acknowledged."""
    kept = asyncio.run(_fill_under_writes())
    small.wait_ready()
    for name, sent in kept.items():
        assert insist("GET", PATH + name) == (200, sent)
    assert wait_for(lambda: not any(small.facts(name)["hints"] for name in NODES), 20)


async def _fill_under_writes() -> dict[str, object]:
    """Create users while all disks fill up and have room again; those acknowledged, by id."""
    kept: dict[str, object] = {}
    outcomes: Counter[str] = Counter()
    lateness = Lateness()
    over = asyncio.Event()

    async def write(writer: int) -> None:
        connection = Connection(PORT, lateness)
        number = 0
        while not over.is_set():
            number += 1
            sent = user(f"writer{writer}-{number}", number)
            try:
                answer = await connection.ask("POST", PATH, json.dumps(sent).encode())
            except (Lost, Refused):
                outcomes["lost"] += 1
                continue
            if answer.status == 201:
                kept[str(sent["id"])] = sent
            outcomes[
                f"{answer.status} {'' if answer.status == 201 else answer.json['applied']}"
            ] += 1
            await asyncio.sleep(0 if answer.status == 201 else 0.05)
        connection.close()

    async def grows(by: int) -> None:
        enough = len(kept) + by
        async with asyncio.timeout(120):
            while len(kept) < enough:  # noqa: ASYNC110  # It is containers that are waited for.
                await asyncio.sleep(0.1)

    writers = [asyncio.create_task(write(number)) for number in range(WRITERS)]
    await grows(500)
    await asyncio.to_thread(take_everything)
    await asyncio.sleep(2.0)
    before = len(kept)
    await asyncio.to_thread(make_room)
    await grows(200)
    over.set()
    await asyncio.gather(*writers)
    lateness.stop()
    print(f"\n{before} acknowledged before the disks were full; {dict(outcomes)}")
    print(f"restarts {restarts()}")
    return kept


def test_store_after_a_failed_write() -> None:
    """After a write that failed nothing more is stored, and reopened the store has all it said."""
    disk, python = "/data:size=24m,uid=10001", ("--entrypoint", "python")
    said = docker("run", "--rm", "--tmpfs", disk, *python, "ddb-db", "-c", FAILING.read_text())
    print(said)
    assert "every one of them is there" in said


def assert_declined(method: str, path: str, body: object) -> None:
    """A change is refused, as not applied, for the reason that it is.

    To fill a disk may hold up the machine, and a node that is silent meanwhile is one of whom it
    is not known what it has done; so the first few answers may say just that.
    """
    for _ in range(5):
        status, answer = fetch(method, path, body)
        if answer["applied"] == "no":
            break
        assert status == 503
    assert (status, answer["applied"]) == (503, "no"), answer
    assert "the disk of db-" in answer["message"]


def assert_reads_go_on(count: int) -> None:
    """Single reads, the count and the list."""
    assert fetch("GET", PATH + "known-7") == (200, user("known-7"))
    assert fetch("GET", PATH + "never-was")[0] == 404
    assert fetch("GET", PATH + "count") == (200, {"count": count})
    status, rows = fetch("GET", PATH + "?limit=1000")
    assert status == 200
    assert len(rows) == count


def leave_free(megabytes: int, names: tuple[str, ...] = NODES) -> None:
    """Fill the disks from outside but for so much, and let the nodes notice."""
    for name in names:
        disk = f"/disks/{name}"
        leave = megabytes << 20
        _keeper(
            f"rm -f {disk}/ballast*; free=$(df -B1 --output=avail {disk} | tail -1);"
            f" fallocate -l $((free - {leave})) {disk}/ballast; df -h {disk} | tail -1"
        )
    time.sleep(0.5)


def take_everything() -> None:
    """Fill all disks to the last byte, faster than a node can notice."""
    _keeper(
        "for disk in /disks/*; do (free=$(df -B1 --output=avail $disk | tail -1);"
        " fallocate -l $free $disk/ballast; cat /dev/zero > $disk/ballast.more) & done; wait; true"
    )


def make_room() -> None:
    """Take the filling away."""
    _keeper("rm -f /disks/*/ballast*")


def restarts() -> list[int]:
    """How often the engine has restarted each node."""
    return [int(inspect(name, ".RestartCount")) for name in NODES]


def _keeper(script: str) -> None:
    docker("exec", "keeper", "sh", "-c", script)
