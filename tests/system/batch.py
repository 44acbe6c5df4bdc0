"""Many concurrent requests, for tests that need many records."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from tests.cluster import Cluster
from tests.faults.http import Answer, Connection, Lateness, Lost, Refused

CONNECTIONS = 16
DECISION_TIMEOUT_S = 60.0
"""Seconds to repeat requests that get a 503. Too low: a loaded machine fails the test. Too high: a
broken cluster fails it late."""
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


def send(cluster: Cluster, calls: Iterable[Call]) -> list[Answer | None]:
    """Send all calls and return the answers, in order; None where a connection broke."""
    return asyncio.run(_send(cluster.port, list(calls)))


def succeed(cluster: Cluster, calls: Iterable[Call]) -> None:
    """Send all calls until each has succeeded; repeat those without a decision."""
    left = list(calls)
    done = {200, 201, 204}
    for _ in range(20):
        answers = send(cluster, left)
        undecided = [
            call
            for call, answer in zip(left, answers, strict=True)
            if answer is None or answer.status == 503
        ]
        for call, answer in zip(left, answers, strict=True):
            assert answer is None or answer.status in done | {503}, (call, answer)
        if not undecided:
            return
        # An undecided attempt may have succeeded, so its repetition gets a 404 or a 409.
        done |= {404, 409}
        left = undecided
    raise AssertionError(f"{len(left)} requests were not decided")


def read(cluster: Cluster, ids: list[str]) -> list[Answer]:
    """Return the answer to one GET per id, 200 or 404; repeat those without a decision."""
    return _decided(cluster, [Call("GET", PATH + each) for each in ids])


def get(cluster: Cluster, path: str) -> Answer:
    """Return the answer to one GET that must succeed; repeat it without a decision."""
    (answer,) = _decided(cluster, [Call("GET", path)])
    assert answer.status == 200, answer
    return answer


def _decided(cluster: Cluster, calls: list[Call]) -> list[Answer]:
    """Send all calls until each has an answer other than 503. Other tests check latency."""
    decided: dict[int, Answer] = {}
    deadline = time.monotonic() + DECISION_TIMEOUT_S
    while time.monotonic() < deadline:
        left = [number for number in range(len(calls)) if number not in decided]
        answers = send(cluster, [calls[number] for number in left])
        decided |= {
            number: answer
            for number, answer in zip(left, answers, strict=True)
            if answer is not None and answer.status != 503
        }
        if len(decided) == len(calls):
            return [decided[number] for number in range(len(calls))]
    raise AssertionError(f"{len(calls) - len(decided)} requests were not decided")


async def _send(port: int, calls: list[Call]) -> list[Answer | None]:
    lateness = Lateness()
    answers: list[Answer | None] = [None] * len(calls)
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
