"""The answers that are correct, given all earlier requests and answers.

A register has one writer, which writes one value after another. So the correct values of a read are
exact. One is the newest value that was acknowledged or read before the read began. The others
are the values whose writes began later. The module is pure: times are arguments.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Any

from ddb.ring.ring import key_of

Document = dict[str, Any]


class Register:
    """The values of one writer, in the order of their writes.

    `None` is the absence of a record. Every other value occurs at most once.
    """

    __slots__ = ("_floors", "_void", "doubtful", "values")

    def __init__(self, first: object) -> None:
        self.values = [first]
        self.doubtful = False
        """True once the outcome of a write is unknown; the writer then stops."""
        self._void: set[int] = set()
        self._floors: list[tuple[float, int]] = [(0.0, 0)]

    @property
    def last(self) -> Any:
        """The newest value that was acknowledged or read."""
        return self.values[self._floors[-1][1]]

    def begin(self, value: object) -> int:
        """Record that a write is sent, and return its number."""
        self.values.append(value)
        return len(self.values) - 1

    def done(self, number: int, now: float) -> None:
        """Record that the write was acknowledged, or its value read, at `now`."""
        if number > self._floors[-1][1]:
            self._floors.append((now, number))

    def void(self, number: int) -> None:
        """Record that the write was refused. No read may return its value."""
        self._void.add(number)

    def possible(self, sent_at: float) -> Iterator[int]:
        """Yield the numbers of the correct values of a read that was sent at `sent_at`."""
        floor = self._floors[bisect_right(self._floors, (sent_at, 1 << 62)) - 1][1]
        return (number for number in range(floor, len(self.values)) if number not in self._void)

    def saw(self, value: object, sent_at: float, now: float) -> bool:
        """Record a read of `value`; return whether it is correct.

        Reads that are sent after `now` may return no older value.
        """
        for number in self.possible(sent_at):
            if self.values[number] == value:
                self.done(number, now)
                return True
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at or after {self.values[self._floors[-1][1] :]!r}>"


class Record(Register):
    """A record with one writer.

    `writes` counts its acknowledged writes, `checked` those that a later answer confirmed.
    """

    __slots__ = ("checked", "id", "tag", "writes")

    def __init__(self, record_id: str) -> None:
        super().__init__(None)
        self.id = record_id
        self.tag = b""
        self.writes = 0
        self.checked = 0


class Shared:
    """A record that is never deleted; each field has a separate writer."""

    __slots__ = ("checked", "fields", "id", "writes")

    def __init__(self, document: Document) -> None:
        self.id: str = document["id"]
        self.fields = {name: Register(document[name]) for name in document if name != "id"}
        self.writes = 0
        self.checked = 0

    def saw(self, value: object, sent_at: float, now: float) -> bool:
        """Record a read, as `Register.saw` does, for every field."""
        if not isinstance(value, dict) or value.get("id") != self.id:
            return False
        if set(value) != {"id", *self.fields}:
            return False
        return all(field.saw(value[name], sent_at, now) for name, field in self.fields.items())

    def __repr__(self) -> str:
        return f"<Shared {self.id}>"


class Census:
    """Bounds on the number of records, and so on the answer of a COUNT."""

    def __init__(self) -> None:
        self.surely = 0
        """Records that exist for any outcome of the writes in flight."""
        self.maybe = 0
        """Records that exist for some outcome of the writes in flight."""
        self._births = 0
        self._deaths = 0

    def change(self, before: object, after: object) -> None:
        """Record that a write is sent that changes `before` to `after`."""
        if before is None and after is not None:
            self.maybe += 1
            self._births += 1
        elif before is not None and after is None:
            self.surely -= 1
            self._deaths += 1

    def changed(self, before: object, after: object) -> None:
        """Record that the write was acknowledged."""
        if before is None and after is not None:
            self.surely += 1
        elif before is not None and after is None:
            self.maybe -= 1

    def unchanged(self, before: object, after: object) -> None:
        """Record that the write was certainly not applied."""
        if before is None and after is not None:
            self.maybe -= 1
        elif before is not None and after is None:
            self.surely += 1

    def begin(self) -> tuple[int, int, int, int]:
        """Return the argument of `bounds`, at the moment a COUNT is sent."""
        return self.surely, self.maybe, self._births, self._deaths

    def bounds(self, begun: tuple[int, int, int, int]) -> tuple[int, int]:
        """Return the least and the greatest correct answer of a COUNT that ends now."""
        surely, maybe, births, deaths = begun
        return surely - (self._deaths - deaths), maybe + (self._births - births)

    def __repr__(self) -> str:
        return f"<Census {self.surely} to {self.maybe}>"


class Book:
    """Every record of the run, and their order in LIST."""

    def __init__(self) -> None:
        self.records: dict[str, Record | Shared] = {}
        self.ids: list[str] = []
        """The ids in the order of their addition."""
        self.census = Census()
        self._keys: list[bytes] = []

    def add(self, record: Record | Shared) -> None:
        """Add a record before its first write."""
        self.records[record.id] = record
        self.ids.append(record.id)
        insort(self._keys, key_of(record.id))

    def wrong_in_page(
        self, after: bytes, page: list[Document], whole: bool, sent_at: float, now: float
    ) -> list[str]:
        """Return the violations in a page of LIST.

        Args:
            after: the key after which the page begins.
            whole: True if the page is the last one; False if a cursor follows.
            sent_at: the time of the request.
        """
        keys = [key_of(str(row.get("id"))) for row in page]
        wrong = []
        if keys != sorted(set(keys)) or (keys and keys[0] <= after):
            wrong.append("the rows are out of order or doubled")
        rows = dict(zip(keys, page, strict=True))
        start = bisect_right(self._keys, after)
        stop = len(self._keys) if whole else bisect_right(self._keys, keys[-1] if keys else after)
        for key in self._keys[start:stop]:
            record = self.records[key[2:].decode()]
            row = rows.pop(key, None)
            if not record.saw(row, sent_at, now):
                wrong.append(f"{record!r} read as {row}")
        wrong += [f"no client wrote {row}" for row in rows.values()]
        return wrong

    def __repr__(self) -> str:
        return f"<Book of {len(self.records)} records, {self.census!r}>"
