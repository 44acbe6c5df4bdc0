"""Many concurrent requests, for tests that need many records."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from tests.cluster import Cluster
from tests.http.connection import Connection, Lateness, Lost, Refused, TimedAnswer
from tests.http.retries import RETRIES

CONNECTIONS = 16
MAX_TRIES = 40
"""Tries of one request after 503s. Too low: a loaded machine fails the test. Too high: a broken
cluster fails it late."""
PAUSE_AFTER_503_S = 0.05
"""Too low: the tries end before the load does. Too high: each 503 delays the run."""
PATH = "/api/users/"


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    path: str
    body: dict[str, object] | None = None


def user(record_id: str, group: int = 0) -> dict[str, object]:
    """Return a complete user."""
    return {
        "id": record_id,
        "name": f"name of {record_id}",
        "email": f"{record_id}@example.com",
        "group": group,
    }


def create(ids: Iterable[str]) -> list[Call]:
    """Return one POST per id."""
    return [Call("POST", PATH, user(each)) for each in ids]


def send(cluster: Cluster, calls: Iterable[Call]) -> list[TimedAnswer | None]:
    """Send all calls and return the answers, in order; None where a connection broke."""
    return asyncio.run(_send(cluster.port, list(calls)))


def succeed(cluster: Cluster, calls: Iterable[Call]) -> None:
    """Send all calls until each has succeeded; repeat those without a decision."""
    for call, answer, tries in _decided(cluster, list(calls)):
        # An undecided attempt may have succeeded, so its repetition gets a 404 or a 409.
        done = {200, 201, 204} if tries == 1 else {200, 201, 204, 404, 409}
        assert answer.status in done, (call, answer)


def read(cluster: Cluster, ids: list[str]) -> list[TimedAnswer]:
    """Return the answer to one GET per id, 200 or 404; repeat those without a decision."""
    calls = [Call("GET", PATH + each) for each in ids]
    return [answer for _, answer, _ in _decided(cluster, calls)]


def get(cluster: Cluster, path: str) -> TimedAnswer:
    """Return the answer to one GET that must succeed; repeat it without a decision."""
    ((_, answer, _),) = _decided(cluster, [Call("GET", path)])
    assert answer.status == 200, answer
    return answer


def _decided(cluster: Cluster, calls: list[Call]) -> list[tuple[Call, TimedAnswer, int]]:
    """Send all calls until each has an answer other than 503. Other tests check latency.

    Returns each call with its answer and the number of its tries.
    """
    decided: dict[int, tuple[Call, TimedAnswer, int]] = {}
    for tries in range(1, MAX_TRIES + 1):
        left = [number for number in range(len(calls)) if number not in decided]
        answers = send(cluster, [calls[number] for number in left])
        for number, answer in zip(left, answers, strict=True):
            if answer is not None and answer.status != 503:
                decided[number] = calls[number], answer, tries
        RETRIES.add(len(left), len(calls) - len(decided))
        if len(decided) == len(calls):
            return [decided[number] for number in range(len(calls))]
        time.sleep(PAUSE_AFTER_503_S)
    raise AssertionError(f"{len(calls) - len(decided)} requests were not decided")


async def _send(port: int, calls: list[Call]) -> list[TimedAnswer | None]:
    lateness = Lateness()
    answers: list[TimedAnswer | None] = [None] * len(calls)
    numbers = iter(range(len(calls)))
    connections = [Connection(port, lateness) for _ in range(CONNECTIONS)]

    async def work(connection: Connection) -> None:
        for number in numbers:
            call = calls[number]
            body = b"" if call.body is None else msgspec.json.encode(call.body)
            try:
                answers[number] = await connection.ask(call.method, call.path, body)
            except (Lost, Refused):
                await asyncio.sleep(0.01)

    await asyncio.gather(*(work(connection) for connection in connections))
    for connection in connections:
        connection.close()
    lateness.stop()
    await asyncio.sleep(0)
    return answers
