"""Writers: each is the only writer of its records, or of one field of shared records."""

import json
import random
from typing import Any

from tests.faults.client import PATH, Client
from tests.faults.oracle import Book, Document, Record, Shared
from tests.http.connection import Lost, Refused, TimedAnswer

FIELDS = ("name", "email", "group")
KEYED = 0.2
"""Share of writes with an Idempotency-Key, which the client repeats until they are decided."""


def stamped(record_id: str, field: str, number: int) -> Any:
    """Return a value that no other write of this field has."""
    return {
        "name": f"{record_id} number {number}",
        "email": f"{record_id}.{number}@example.com",
        "group": number,
    }[field]


def fresh(record_id: str, number: int) -> Document:
    """Return a whole record that no other write has."""
    return {"id": record_id} | {field: stamped(record_id, field, number) for field in FIELDS}


class Owner:
    """Creates records, then updates, deletes and recreates them."""

    def __init__(self, name: str, client: Client, book: Book, rng: random.Random) -> None:
        self._name = name
        self._client = client
        self._journal = client.journal
        self._book = book
        self._rng = rng
        self._live: list[Record] = []
        self._dead: list[Record] = []
        self._number = 0
        self._keyed = 0

    async def step(self) -> None:
        """Send one request of a random kind."""
        chance = self._rng.random()
        if chance < 0.5 or not self._live or not self._dead:
            if chance < 0.1 and self._live:
                await self._delete(self._live)
            else:
                await self._create(Record(f"{self._name}-{self._number}"))
        elif chance < 0.75:
            await self._update(self._take(self._live))
        elif chance < 0.85:
            await self._delete(self._live)
        elif chance < 0.9:
            await self._create(self._take(self._dead))
        else:
            await self._refusal(chance)

    def _take(self, records: list[Record]) -> Record:
        index = self._rng.randrange(max(0, len(records) - 200), len(records))
        records[index], records[-1] = records[-1], records[index]
        return records.pop()

    async def _create(self, record: Record) -> None:
        self._number += 1
        if record.id not in self._book.records:
            self._book.add(record)
        await self._write(record, "POST", PATH, fresh(record.id, self._number), None, 201)

    async def _update(self, record: Record) -> None:
        self._number += 1
        # Fields in turn, so that the next answer shows whether this update was applied.
        field = FIELDS[record.writes % len(FIELDS)]
        changed = {field: stamped(record.id, field, self._number)}
        after = record.last | changed
        if self._rng.random() < 0.5:
            await self._write(record, "PUT", PATH, after, {"id": record.id} | changed, 200)
        else:
            await self._write(record, "PATCH", PATH + record.id, after, changed, 200)

    async def _delete(self, live: list[Record]) -> None:
        record = self._take(live)
        await self._write(record, "DELETE", PATH + record.id, None, None, 204)

    async def _write(
        self,
        record: Record,
        method: str,
        path: str,
        after: Document | None,
        sent: Document | None,
        expected: int,
    ) -> None:
        before, census = record.last, self._book.census
        body = after if method == "POST" else sent
        headers: dict[str, str] = {}
        if record.tag and before is not None and self._rng.random() < 0.1:
            headers["if_match"] = record.tag.decode()
        number = record.begin(after)
        census.change(before, after)
        try:
            if self._rng.random() < KEYED:
                self._keyed += 1
                key = f"{self._name}-{self._keyed}"
                answer = await self._client.insist(
                    method, path, body, idempotency_key=key, **headers
                )
            else:
                answer = await self._client.ask(method, path, body, **headers)
        except (Lost, TimeoutError):
            record.doubtful = True
            return
        except Refused:
            record.void(number)
            census.unchanged(before, after)
            self._put_back(record)
            return
        if answer.status == 503 and answer.json["applied"] == "no":
            record.void(number)
            census.unchanged(before, after)
            self._put_back(record)
        elif answer.status == expected and answer.json == after:
            record.done(number, answer.received_at)
            census.changed(before, after)
            record.checked = record.writes
            record.writes += 1
            record.tag = answer.etag
            self._journal.writes[self._journal.phase] += 1
            self._put_back(record)
        else:
            record.doubtful = True
            if answer.status != 503:
                self._journal.violation(
                    f"{method} {record.id} {body} on {before} was answered"
                    f" {answer.status} {answer.body.decode()}"
                )

    def _put_back(self, record: Record) -> None:
        (self._dead if record.last is None else self._live).append(record)

    async def _refusal(self, chance: float) -> None:
        """Send a request that the gateway must refuse, or answer with 304."""
        live, dead = self._rng.choice(self._live), self._rng.choice(self._dead)
        update = {"group": -1}
        try:
            if chance < 0.92:
                answer = await self._client.ask("POST", PATH, fresh(live.id, 0))
                self._expect(answer, 409, live)
            elif chance < 0.94:
                answer = await self._client.ask("PUT", PATH + dead.id, update)
                self._expect(answer, 404, dead)
            elif chance < 0.96:
                answer = await self._client.ask("DELETE", PATH + dead.id)
                self._expect(answer, 404, dead)
            elif chance < 0.98:
                stale = '"0000000000000000"'
                answer = await self._client.ask("PUT", PATH + live.id, update, if_match=stale)
                self._expect(answer, 412, live)
            else:
                tag = live.tag.decode()
                answer = await self._client.ask("GET", PATH + live.id, if_none_match=tag)
                self._expect(answer, 304, live)
        except (Lost, Refused):
            return

    def _expect(self, answer: TimedAnswer, status: int, record: Record) -> None:
        if answer.status not in (status, 503):
            self._journal.violation(
                f"{record!r} was answered {answer.status} instead of {status}:"
                f" {answer.body.decode()}"
            )

    def __repr__(self) -> str:
        return f"<Owner {self._name}, {len(self._live)} live, {len(self._dead)} deleted>"


class FieldOwner:
    """The only writer of one field of every shared record."""

    def __init__(
        self, field: str, records: list[Shared], client: Client, rng: random.Random
    ) -> None:
        self._field = field
        self._records = records
        self._client = client
        self._rng = rng
        self._number = 0

    async def step(self) -> None:
        """Update the field in one record, and check that the two other fields survive."""
        record = self._rng.choice(self._records)
        field = record.fields[self._field]
        if field.doubtful:
            return
        self._number += 1
        value = stamped(record.id, self._field, self._number)
        number = field.begin(value)
        try:
            answer = await self._client.ask("PUT", PATH, {"id": record.id, self._field: value})
        except Lost:
            field.doubtful = True
            return
        except Refused:
            field.void(number)
            return
        if answer.status == 503:
            if answer.json["applied"] == "no":
                field.void(number)
            else:
                field.doubtful = True
            return
        row = answer.json
        field.done(number, answer.received_at)
        if answer.status != 200 or row[self._field] != value:
            self._client.journal.violation(f"{record!r}: {value!r} was answered {json.dumps(row)}")
        elif not record.saw(row, answer.sent_at, answer.received_at):
            self._client.journal.violation(
                f"{record!r} lost the update of another field: {json.dumps(row)}"
            )
        else:
            record.checked = record.writes
            record.writes += 1
            self._client.journal.writes[self._client.journal.phase] += 1

    def __repr__(self) -> str:
        return f"<FieldOwner of {self._field}, {self._number} updates>"
