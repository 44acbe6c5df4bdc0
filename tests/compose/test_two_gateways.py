"""Five nodes and two gateways, from deploy/five.yml."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.compose.stack import FIVE, PORT, Stack, docker, fetch, insist, user
from tests.http.connection import Connection, Lateness, Lost, Refused, TimedAnswer

SECOND = 8090
"""The port of the second gateway."""
WRITERS = 40
PATH = "/api/users/"


@pytest.fixture(scope="module")
def five() -> Iterator[Stack]:
    """Start the cluster of deploy/five.yml."""
    with Stack(FIVE, nodes=5) as stack:
        stack.wait_ready(SECOND)
        yield stack


def test_reads_see_writes_of_the_other_gateway(five: Stack) -> None:
    """A gateway reads at once every write that the other gateway has acknowledged."""

    def alternate(number: int) -> None:
        for step in range(10):
            here, there = (PORT, SECOND) if step % 2 else (SECOND, PORT)
            name = f"both-{number}-{step}"
            assert fetch("POST", PATH, user(name), port=here) == (201, user(name))
            assert fetch("GET", PATH + name, port=there) == (200, user(name))
            changed = fetch("PUT", PATH, {"id": name, "group": 7}, port=there)
            assert changed == (200, user(name, 7))
            assert fetch("GET", PATH + name, port=here) == (200, user(name, 7))
            assert fetch("DELETE", PATH + name, port=here) == (204, None)
            assert fetch("GET", PATH + name, port=there)[0] == 404

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(alternate, range(4)))


def test_all_five_nodes_store_records(five: Stack) -> None:
    """Each of the five nodes stores records, and each record has two copies."""
    for number in range(50):
        assert fetch("POST", PATH, user(f"spread-{number}"))[0] == 201
    status = json.loads(five.compose("exec", "-T", "gateway-1", "ddb", "status", "--json"))
    copies = [node["records"] for node in status["nodes"]]
    assert len(copies) == 5
    assert all(copies)
    assert sum(copies) == 2 * fetch("GET", PATH + "count")[1]["count"]


def test_gateway_killed_during_requests(five: Stack) -> None:
    """A retry through the other gateway applies a request of the killed one exactly once."""
    answered, lost = asyncio.run(_kill_under_writes())
    applied = 0
    for number in sorted(lost):
        name, key = f"mid-{number}", f"key-{number}"
        applied += insist("GET", PATH + name, port=SECOND)[0] == 200
        again = insist("POST", PATH, user(name), port=SECOND, idempotency_key=key)
        assert again == (201, user(name)), (
            f"the retry of {name} got {again}, not the answer of the first attempt"
        )
    five.compose("start", "gateway")
    five.wait_ready()
    for number in sorted(answered | lost):
        name, key = f"mid-{number}", f"key-{number}"
        # Without the key, the same request is a new operation, and the id exists.
        for port in (PORT, SECOND):
            assert insist("POST", PATH, user(name), port=port, idempotency_key=key)[0] == 201
            assert insist("POST", PATH, user(name), port=port)[0] == 409
    print(
        f"{len(answered)} answered, {len(lost)} lost with the gateway, {applied} of these applied"
    )
    assert lost


async def _kill_under_writes() -> tuple[set[int], set[int]]:
    """Create records while the first gateway is killed. Return the answered and the lost ones."""
    answered: set[int] = set()
    lost: set[int] = set()
    lateness = Lateness()
    numbers = iter(range(100_000))
    over = threading.Event()

    async def write() -> None:
        connection = Connection(PORT, lateness)
        while not over.is_set():
            number = next(numbers)
            body = json.dumps(user(f"mid-{number}")).encode()
            try:
                answer: TimedAnswer = await connection.ask(
                    "POST", PATH, body, idempotency_key=f"key-{number}"
                )
            except Lost:
                lost.add(number)
                return
            except Refused:
                return
            assert answer.status == 201, answer
            answered.add(number)

    writing = [asyncio.create_task(write()) for _ in range(WRITERS)]
    await asyncio.sleep(0.5)
    await asyncio.to_thread(docker, "kill", "-s", "KILL", "gateway")
    over.set()
    await asyncio.gather(*writing)
    lateness.stop()
    return answered, lost
