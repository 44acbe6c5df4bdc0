"""Readers: the oracle checks each of their answers."""

import random

from ddb.ring.ring import key_of
from tests.faults.client import PATH, Client
from tests.faults.oracle import Book
from tests.http.connection import Lost, Refused

RECENT_IDS = 200


class Reader:
    """Reads records of all writers, mostly recent ones."""

    def __init__(self, client: Client, book: Book, rng: random.Random) -> None:
        self._client = client
        self._book = book
        self._rng = rng

    async def step(self) -> None:
        """Read one record."""
        ids = self._book.ids
        recent = self._rng.random() < 0.7
        record_id = self._rng.choice(ids[-RECENT_IDS:] if recent else ids)
        try:
            answer = await self._client.ask("GET", PATH + record_id)
        except (Lost, Refused):
            return
        if answer.status == 503:
            return
        row = answer.json if answer.status == 200 else None
        record = self._book.records[record_id]
        if answer.status not in (200, 404) or not record.saw(
            row, answer.sent_at, answer.received_at
        ):
            self._client.journal.violation(
                f"GET of {record!r} was answered {answer.status} {answer.body.decode()}"
            )

    def __repr__(self) -> str:
        return f"<Reader of {self._book!r}>"


class Lister:
    """Pages through all records, by cursor and by offset, and counts them."""

    def __init__(self, client: Client, book: Book, rng: random.Random) -> None:
        self._client = client
        self._book = book
        self._rng = rng
        self._next = ""
        self._after = b""

    async def step(self) -> None:
        """Read one page or one count."""
        chance = self._rng.random()
        try:
            if chance < 0.4:
                await self._count()
            elif chance < 0.9:
                await self._page()
            else:
                await self._page_at(self._rng.randrange(max(1, self._book.census.surely)))
        except (Lost, Refused):
            return

    async def _count(self) -> None:
        begun = self._book.census.begin()
        answer = await self._client.ask("GET", PATH + "count")
        if answer.status == 503:
            return
        low, high = self._book.census.bounds(begun)
        if answer.status != 200 or not low <= answer.json["count"] <= high:
            self._client.journal.violation(
                f"COUNT was answered {answer.status} {answer.body.decode()}: {low} to {high} live"
            )

    async def _page(self) -> None:
        path = self._next or f"{PATH}?limit={self._rng.randrange(1, 200)}"
        after = self._after if self._next else b""
        answer = await self._client.ask("GET", path)
        if answer.status == 503:
            return
        link = answer.headers.get(b"link", b"").decode()
        rows = answer.json
        wrong = self._book.wrong_in_page(after, rows, not link, answer.sent_at, answer.received_at)
        for each in wrong[:3]:
            self._client.journal.violation(f"LIST {path}, {len(rows)} rows: {each}")
        self._next = link.partition("<")[2].partition(">")[0]
        self._after = key_of(rows[-1]["id"]) if rows else b""

    async def _page_at(self, offset: int) -> None:
        path = f"{PATH}?offset={offset}&limit={self._rng.randrange(1, 200)}"
        answer = await self._client.ask("GET", path)
        if answer.status == 503 or not answer.json:
            return
        first = key_of(answer.json[0]["id"])
        just_before = first[:-1] + bytes((first[-1] - 1, 0xFF))
        wrong = self._book.wrong_in_page(
            just_before, answer.json, False, answer.sent_at, answer.received_at
        )
        for each in wrong[:3]:
            self._client.journal.violation(f"LIST {path}: {each}")

    def __repr__(self) -> str:
        return f"<Lister of {self._book!r}>"
