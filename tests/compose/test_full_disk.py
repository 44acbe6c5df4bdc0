"""Full disks: refused changes, continued reads and no loss."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import wait_for
from tests.compose.stack import PORT, SMALL, Stack, docker, fetch, insist, inspect, user
from tests.http.connection import Connection, Lateness, Lost, Refused

FAILING = Path(__file__).parent / "failing_store.py"
PATH = "/api/users/"
NODES = ("db-0", "db-1", "db-2")
STORED = 200
"""Users that exist before the disks fill."""
WRITERS = 64
SCARCE = 100
"""Free megabytes at which nodes decline changes but accept deletes."""


@pytest.fixture
def small() -> Iterator[Stack]:
    """Start a cluster on small disks and store some users."""
    with Stack(SMALL) as stack:
        for number in range(STORED):
            assert fetch("POST", PATH, user(f"stored-{number}"))[0] == 201
        yield stack


def test_all_disks_full(small: Stack) -> None:
    """Full disks refuse changes as not applied, reads continue, and free space restores writes."""
    leave_free(SCARCE)
    assert_declined("POST", PATH, user("too-much"))
    assert_declined("PUT", PATH, {"id": "stored-1", "group": 2})
    assert_reads_work(STORED)
    assert fetch("DELETE", PATH + "stored-0")[0] == 204, "a DELETE makes room, so it must succeed"
    table = small.compose("exec", "-T", "gateway", "ddb", "status", check=False)
    print(table)
    assert table.count("disk full") == len(NODES)

    leave_free(0)
    assert_declined("DELETE", PATH + "stored-1", None)
    assert_declined("POST", PATH, user("too-much"))
    assert_reads_work(STORED - 1)
    assert restarts() == [0, 0, 0], "a node stopped because its disk is full"

    began = time.monotonic()
    docker("stop", "-t", "30", "db-1")
    assert time.monotonic() - began < 15, "a node with a full disk did not end"
    docker("start", "db-1")
    assert wait_for(lambda: "db-1 waits: /data has 0 MB free" in small.logs("db-1"), 20)
    # Without db-1, a read may need a copy on the standby, and the standby has no room for it.
    status, answer = fetch("GET", PATH + "stored-7")
    assert (status, answer) == (200, user("stored-7")) or answer["applied"] == "no"

    make_room()
    assert wait_for(lambda: fetch("POST", PATH, user("room-again"))[0] == 201, 20)
    assert wait_for(lambda: small.facts("db-1")["state"] == "up", 20)
    assert fetch("GET", PATH + "too-much")[0] == 404
    assert_reads_work(STORED)


def test_one_disk_full(small: Stack) -> None:
    """While one node's disk is full, the other two serve every request."""
    leave_free(0, NODES[:1])
    for number in range(30):
        assert fetch("POST", PATH, user(f"others-{number}"))[0] == 201
        assert fetch("PUT", PATH, {"id": f"stored-{number}", "group": 2})[0] == 200
    assert fetch("GET", PATH + "count") == (200, {"count": STORED + 30})
    make_room()
    assert wait_for(lambda: not any(small.facts(name)["hints"] for name in NODES), 20)


@pytest.mark.timeout(240)
def test_disks_fail_under_writes(small: Stack) -> None:
    """Disks that fill suddenly, during writes, lose no acknowledged write."""
    acknowledged = asyncio.run(_fill_under_writes())
    small.wait_ready()
    for name, sent in acknowledged.items():
        assert insist("GET", PATH + name) == (200, sent)
    assert wait_for(lambda: not any(small.facts(name)["hints"] for name in NODES), 20)


async def _fill_under_writes() -> dict[str, object]:
    """Create users while all disks fill and get room again. Return the acknowledged ones by id."""
    acknowledged: dict[str, object] = {}
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
                acknowledged[str(sent["id"])] = sent
            outcomes[
                f"{answer.status} {'' if answer.status == 201 else answer.json['applied']}"
            ] += 1
            await asyncio.sleep(0 if answer.status == 201 else 0.05)
        connection.close()

    async def wait_for_writes(count: int) -> None:
        enough = len(acknowledged) + count
        async with asyncio.timeout(120):
            while len(acknowledged) < enough:  # noqa: ASYNC110  # Containers signal no event.
                await asyncio.sleep(0.1)

    writers = [asyncio.create_task(write(number)) for number in range(WRITERS)]
    await wait_for_writes(500)
    await asyncio.to_thread(take_everything)
    await asyncio.sleep(2.0)
    before = len(acknowledged)
    await asyncio.to_thread(make_room)
    await wait_for_writes(200)
    over.set()
    await asyncio.gather(*writers)
    lateness.stop()
    print(f"\n{before} acknowledged before the disks were full; {dict(outcomes)}")
    print(f"restarts {restarts()}")
    return acknowledged


def test_store_after_a_failed_write() -> None:
    """A store accepts no write after a failed one, and reopens with every durable write."""
    disk, python = "/data:size=24m,uid=10001", ("--entrypoint", "python")
    output = docker("run", "--rm", "--tmpfs", disk, *python, "ddb-db", "-c", FAILING.read_text())
    print(output)
    assert "none is lost" in output


def assert_declined(method: str, path: str, body: object) -> None:
    """Check that the cluster refuses a change because of a disk.

    A disk that fills may stall the machine and silence a node. The gateway cannot tell whether a
    silent node applied a change. The first few answers may therefore state that instead.
    """
    for _ in range(5):
        status, answer = fetch(method, path, body)
        if answer["applied"] == "no":
            break
        assert status == 503
    assert (status, answer["applied"]) == (503, "no"), answer
    assert "the disk of db-" in answer["message"]


def assert_reads_work(count: int) -> None:
    """Check GET, COUNT and LIST."""
    assert fetch("GET", PATH + "stored-7") == (200, user("stored-7"))
    assert fetch("GET", PATH + "never-was")[0] == 404
    assert fetch("GET", PATH + "count") == (200, {"count": count})
    status, rows = fetch("GET", PATH + "?limit=1000")
    assert status == 200
    assert len(rows) == count


def leave_free(megabytes: int, names: tuple[str, ...] = NODES) -> None:
    """Fill the disks except for `megabytes`, and let the nodes notice."""
    for name in names:
        disk = f"/disks/{name}"
        remaining = megabytes << 20
        _keeper(
            f"rm -f {disk}/ballast*; free=$(df -B1 --output=avail {disk} | tail -1);"
            f" fallocate -l $((free - {remaining})) {disk}/ballast; df -h {disk} | tail -1"
        )
    time.sleep(0.5)


def take_everything() -> None:
    """Fill all disks completely before a node can notice."""
    _keeper(
        "for disk in /disks/*; do (free=$(df -B1 --output=avail $disk | tail -1);"
        " fallocate -l $free $disk/ballast; cat /dev/zero > $disk/ballast.more) & done; wait; true"
    )


def make_room() -> None:
    """Remove the files that fill the disks."""
    _keeper("rm -f /disks/*/ballast*")


def restarts() -> list[int]:
    """Return the number of restarts of each node."""
    return [int(inspect(name, ".RestartCount")) for name in NODES]


def _keeper(script: str) -> None:
    docker("exec", "keeper", "sh", "-c", script)
