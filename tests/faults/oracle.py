"""What answers may say, given what was asked, answered and under way.

A register has one writer, who writes one value after another, so what may be read is exact: a
read that began at some moment may find the newest value acknowledged or seen by then, or one that
was begun since, and nothing else. Pure: times come in as values.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Any

from ddb.ring.ring import key_of

Document = dict[str, Any]


class Register:
    """Something with one writer: its values in the order in which they were written.

    `None` is the absence of a record; every other value is written at most once.
    """

    __slots__ = ("_floors", "_void", "doubtful", "values")

    def __init__(self, first: object) -> None:
        self.values = [first]
        self.doubtful = False
        """Whether the end of some write is not known, so that nothing more may be written."""
        self._void: set[int] = set()
        self._floors: list[tuple[float, int]] = [(0.0, 0)]

    @property
    def last(self) -> Any:
        """The newest value known to have been written."""
        return self.values[self._floors[-1][1]]

    def begin(self, value: object) -> int:
        """A write of `value` is sent; the write's number."""
        self.values.append(value)
        return len(self.values) - 1

    def done(self, number: int, now: float) -> None:
        """The write is acknowledged."""
        if number > self._floors[-1][1]:
            self._floors.append((now, number))

    def void(self, number: int) -> None:
        """The write was refused: its value must never be seen."""
        self._void.add(number)

    def possible(self, since: float) -> Iterator[int]:
        """The numbers of the values that a read begun at `since` may find."""
        floor = self._floors[bisect_right(self._floors, (since, 1 << 62)) - 1][1]
        return (number for number in range(floor, len(self.values)) if number not in self._void)

    def saw(self, value: object, since: float, now: float) -> bool:
        """Whether a read begun at `since` may find `value`; later reads find nothing older."""
        for number in self.possible(since):
            if self.values[number] == value:
                self.done(number, now)
                return True
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at or after {self.values[self._floors[-1][1] :]!r}>"


class Record(Register):
    """A record with one writer, and how many of its acknowledged writes later answers confirmed."""

    __slots__ = ("checked", "id", "tag", "writes")

    def __init__(self, record_id: str) -> None:
        super().__init__(None)
        self.id = record_id
        self.tag = b""
        self.writes = 0
        self.checked = 0


class Shared:
    """A record that is never deleted and of which every field has a writer of its own."""

    __slots__ = ("checked", "fields", "id", "writes")

    def __init__(self, document: Document) -> None:
        self.id: str = document["id"]
        self.fields = {name: Register(document[name]) for name in document if name != "id"}
        self.writes = 0
        self.checked = 0

    def saw(self, value: object, since: float, now: float) -> bool:
        """As `Register.saw`, of every field."""
        if not isinstance(value, dict) or value.get("id") != self.id:
            return False
        if set(value) != {"id", *self.fields}:
            return False
        return all(field.saw(value[name], since, now) for name, field in self.fields.items())

    def __repr__(self) -> str:
        return f"<Shared {self.id}>"


class Census:
    """How many records live: what a count that ran from one moment to another may say."""

    def __init__(self) -> None:
        self.surely = 0
        """Records that live whatever became of the writes under way."""
        self.maybe = 0
        """Records that may live."""
        self._births = 0
        self._deaths = 0

    def change(self, before: object, after: object) -> None:
        """A write is sent that makes `after` of `before`."""
        if before is None and after is not None:
            self.maybe += 1
            self._births += 1
        elif before is not None and after is None:
            self.surely -= 1
            self._deaths += 1

    def changed(self, before: object, after: object) -> None:
        """It is acknowledged."""
        if before is None and after is not None:
            self.surely += 1
        elif before is not None and after is None:
            self.maybe -= 1

    def unchanged(self, before: object, after: object) -> None:
        """It was certainly not done."""
        if before is None and after is not None:
            self.maybe -= 1
        elif before is not None and after is None:
            self.surely += 1

    def begin(self) -> tuple[int, int, int, int]:
        """What `bounds` takes, at the moment at which a count is asked for."""
        return self.surely, self.maybe, self._births, self._deaths

    def bounds(self, begun: tuple[int, int, int, int]) -> tuple[int, int]:
        """The least and the greatest that the count may say now."""
        surely, maybe, births, deaths = begun
        return surely - (self._deaths - deaths), maybe + (self._births - births)

    def __repr__(self) -> str:
        return f"<Census {self.surely} to {self.maybe}>"


class Book:
    """Every record that there is or may be, in the order in which LIST gives them."""

    def __init__(self) -> None:
        self.records: dict[str, Record | Shared] = {}
        self.ids: list[str] = []
        """In the order in which they were added."""
        self.census = Census()
        self._keys: list[bytes] = []

    def add(self, record: Record | Shared) -> None:
        """A record is about to be written for the first time."""
        self.records[record.id] = record
        self.ids.append(record.id)
        insort(self._keys, key_of(record.id))

    def wrong_in_page(
        self, after: bytes, page: list[Document], whole: bool, since: float, now: float
    ) -> list[str]:
        """What is wrong with a page asked for at `since` after the key `after`.

        `whole`: it said that nothing follows.
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
            if not record.saw(row, since, now):
                wrong.append(f"{record!r} read as {row}")
        wrong += [f"nobody wrote {row}" for row in rows.values()]
        return wrong

    def __repr__(self) -> str:
        return f"<Book of {len(self.records)} records, {self.census!r}>"
