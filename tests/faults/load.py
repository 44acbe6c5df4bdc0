"""A mixed load of a few hundred requests a second; workers check every answer."""

import asyncio
import random
from typing import Protocol

from tests.faults.client import PATH, Client
from tests.faults.contest import Contest
from tests.faults.journal import Journal
from tests.faults.oracle import Book, Shared
from tests.faults.owner import FIELDS, FieldOwner, Owner, fresh
from tests.faults.reader import Lister, Reader
from tests.http.connection import Lateness

OWNERS = 14
READERS = 6
CONTESTANTS = 3
SHARED = 25
READ_BACK_AT_ONCE = 8
CROWD = 24
CROWD_STEPS = 5
_MEAN_PAUSE = {Owner: 0.05, FieldOwner: 0.15, Reader: 0.05, Lister: 0.12, Contest: 0.8}


class Worker(Protocol):
    """A client that sends requests step by step."""

    async def step(self) -> None:
        """Send one request, or a few that belong together."""
        ...


class Load:
    """All workers, through one gateway."""

    def __init__(self, port: int, rng: random.Random, pauses: float = 1.0) -> None:
        """`pauses`: a factor of each pause; at 2, there are half as many requests."""
        self.journal = Journal()
        self.book = Book()
        self.lateness = Lateness()
        self._port = port
        self._rng = rng
        self._pauses = pauses
        self._running = False
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: list[Client] = []
        self._crowd: list[Owner] = []

    async def start(self) -> None:
        """Create the shared records, then start all workers."""
        first = self._client()
        shared = []
        for number in range(SHARED):
            record = Shared(fresh(f"shared-{number}", 0))
            answer = await first.insist(
                "POST", PATH, fresh(record.id, 0), idempotency_key=record.id
            )
            assert answer.status == 201, answer
            self.book.add(record)
            self.book.census.change(None, record)
            self.book.census.changed(None, record)
            shared.append(record)
        workers: list[Worker] = [
            Owner(f"owner{number}", self._client(), self.book, self._rng)
            for number in range(OWNERS)
        ]
        workers += [FieldOwner(field, shared, self._client(), self._rng) for field in FIELDS]
        workers += [Reader(self._client(), self.book, self._rng) for _ in range(READERS)]
        workers.append(Lister(self._client(), self.book, self._rng))
        workers.append(Contest([self._client() for _ in range(CONTESTANTS)], self.book))
        self._crowd = [
            Owner(f"crowd{number}", self._client(), self.book, self._rng) for number in range(CROWD)
        ]
        self._running = True
        self._tasks = [asyncio.create_task(self._work(worker)) for worker in workers]

    async def rush(self) -> None:
        """Send many requests at once, so that a fault interrupts some of them."""
        await asyncio.gather(*(self._hurry(owner) for owner in self._crowd))

    async def stop(self) -> None:
        """Wait for the answers of all requests in flight. Raises the error of a worker."""
        self._running = False
        await asyncio.gather(*self._tasks)

    def check(self) -> None:
        """Raise the error of a worker, if one has failed."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def read_back(self) -> int:
        """Read every record of the run and return how many exist."""
        left = list(self.book.ids)
        return sum(
            await asyncio.gather(
                *(self._read_back(self._client(), left) for _ in range(READ_BACK_AT_ONCE))
            )
        )

    async def list_all(self, limit: int, by_cursor: bool) -> list[str]:
        """Return the ids of all pages, in order; violations go into the journal."""
        client = self._client()
        ids: list[str] = []
        path = f"{PATH}?limit={limit}"
        while path:
            answer = await client.insist("GET", path)
            rows = answer.json
            ids += [row["id"] for row in rows]
            for row in rows:
                record = self.book.records.get(row["id"])
                if record is None or not record.saw(row, answer.sent_at, answer.received_at):
                    self.journal.violation(f"LIST {path}: {record!r} read as {row}")
            if by_cursor:
                path = answer.headers.get(b"link", b"").decode()[1:].partition(">")[0]
            else:
                path = f"{PATH}?limit={limit}&offset={len(ids)}" if rows else ""
        return ids

    async def count(self) -> int:
        """Return the answer of COUNT."""
        answer = await self._client().insist("GET", PATH + "count")
        return int(answer.json["count"])

    async def close(self) -> None:
        """Cancel the workers and close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.lateness.stop()
        for client in self._clients:
            client.close()
        # The event loop closes aborted connections in its next iteration.
        await asyncio.sleep(0.05)

    def _client(self) -> Client:
        client = Client(self._port, self.lateness, self.journal)
        self._clients.append(client)
        return client

    async def _work(self, worker: Worker) -> None:
        pause = _MEAN_PAUSE[type(worker)] * self._pauses
        while self._running:
            await worker.step()
            await asyncio.sleep(self._rng.expovariate(1 / pause))

    async def _hurry(self, owner: Owner) -> None:
        for _ in range(CROWD_STEPS):
            await owner.step()

    async def _read_back(self, client: Client, left: list[str]) -> int:
        live = 0
        while left:
            record = self.book.records[left.pop()]
            answer = await client.insist("GET", PATH + record.id)
            row = answer.json if answer.status == 200 else None
            live += row is not None
            if answer.status in (200, 404) and record.saw(row, answer.sent_at, answer.received_at):
                record.checked = record.writes
            else:
                self.journal.violation(
                    f"at the end GET of {record!r}, with {record.writes} acknowledged writes,"
                    f" was answered {answer.status} {answer.body.decode()}"
                )
        return live

    def __repr__(self) -> str:
        return f"<Load {self.book!r}, {self.journal!r}>"
