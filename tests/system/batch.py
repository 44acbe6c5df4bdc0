"""Many requests at once, for tests that need many records rather than their latencies."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from tests.cluster import Cluster
from tests.faults.http import Answer, Connection, Lateness, Lost, Refused

AT_ONCE = 16
PATH = "/api/users/"


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    path: str
    body: dict[str, object] | None = None


def user(record_id: str, group: int = 0) -> dict[str, object]:
    """A whole user."""
    return {
        "id": record_id,
        "name": f"name of {record_id}",
        "email": f"{record_id}@example.com",
        "group": group,
    }


def create(ids: Iterable[str]) -> list[Call]:
    """The creation of a user for each id."""
    return [Call("POST", PATH, user(each)) for each in ids]


def send(cluster: Cluster, calls: Iterable[Call]) -> list[Answer | None]:
    """The answers, in order; None where a connection broke first."""
    return asyncio.run(_send(cluster.port, list(calls)))


def succeed(cluster: Cluster, calls: Iterable[Call]) -> None:
    """Requests of which every one must be done. What was undecided is sent again."""
    left = list(calls)
    for _ in range(10):
        answers = send(cluster, left)
        undecided = [
            call
            for call, answer in zip(left, answers, strict=True)
            if answer is None or answer.status == 503
        ]
        for call, answer in zip(left, answers, strict=True):
            assert answer is None or answer.status in (200, 201, 204, 503), (call, answer)
        if not undecided:
            return
        left = undecided
    raise AssertionError(f"{len(left)} requests were not decided")


def get(cluster: Cluster, path: str) -> Answer:
    """The answer to one GET. How soon it comes is not asked here: undecided, it is sent again."""
    for _ in range(50):
        (answer,) = send(cluster, [Call("GET", path)])
        if answer is not None and answer.status != 503:
            assert answer.status == 200, answer
            return answer
    raise AssertionError(f"GET {path} was not decided: {answer}")


async def _send(port: int, calls: list[Call]) -> list[Answer | None]:
    lateness = Lateness()
    answers: list[Answer | None] = [None] * len(calls)
    numbers = iter(range(len(calls)))
    connections = [Connection(port, lateness) for _ in range(AT_ONCE)]

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
