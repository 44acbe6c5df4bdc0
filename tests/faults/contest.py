"""Concurrent creations of one id: exactly one may succeed."""

import asyncio

from tests.faults.client import PATH, Client
from tests.faults.oracle import Book, Record
from tests.faults.owner import fresh
from tests.http.connection import Lost, Refused, TimedAnswer


class Contest:
    """Creates each of its ids through all of its clients at once; no other worker uses the ids."""

    def __init__(self, clients: list[Client], book: Book) -> None:
        self._clients = clients
        self._book = book
        self._number = 0

    async def step(self) -> None:
        """Let all clients create one new id."""
        self._number += 1
        record = Record(f"contest-{self._number}")
        self._book.add(record)
        self._book.census.change(None, record)
        entries = [fresh(record.id, number) for number in range(len(self._clients))]
        numbers = [record.begin(entry) for entry in entries]
        answers = await asyncio.gather(
            *(
                client.ask("POST", PATH, entry)
                for client, entry in zip(self._clients, entries, strict=True)
            ),
            return_exceptions=True,
        )
        journal = self._clients[0].journal
        won = refused = 0
        for number, entry, answer in zip(numbers, entries, answers, strict=True):
            if isinstance(answer, Lost):
                record.doubtful = True
            elif isinstance(answer, Refused):
                record.void(number)
                refused += 1
            elif isinstance(answer, BaseException):
                raise answer
            elif answer.status == 201 and answer.json == entry:
                won += 1
                record.done(number, answer.received_at)
                record.writes += 1
                journal.writes[journal.phase] += 1
            else:
                self._not_created(record, number, answer)
        if won > 1 or (won == 0 and not refused and not record.doubtful):
            journal.violation(f"{won} of {len(entries)} creations of {record.id} succeeded")
        if won:
            self._book.census.changed(None, record)

    def _not_created(self, record: Record, number: int, answer: TimedAnswer) -> None:
        if answer.status == 409 or (answer.status == 503 and answer.json["applied"] == "no"):
            record.void(number)
            # Without a quorum every creation may get a 503.
            record.doubtful = record.doubtful or answer.status == 503
        elif answer.status == 503:
            record.doubtful = True
        else:
            self._clients[0].journal.violation(
                f"a creation of {record.id} was answered {answer.status} {answer.body.decode()}"
            )

    def __repr__(self) -> str:
        return f"<Contest {self._number} finished>"
