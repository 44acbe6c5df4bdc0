"""The port between the HTTP face and the cluster behind it."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from ddb.record.change import Change, Outcome


class Applied(Enum):
    """What an undecided operation left behind."""

    NO = "no"
    """Certainly nothing: the request may be sent again as if it had never been."""
    UNKNOWN = "unknown"
    """It may have taken effect, or still may within moments."""


class Unavailable(Exception):
    """The operation could not be decided in time; `applied` says what that means for the data.

    `retry_after`: whole seconds that the client should wait before it asks again.
    """

    def __init__(self, applied: Applied, reason: str, *, retry_after: int = 1) -> None:
        super().__init__(reason)
        self.applied = applied
        self.retry_after = retry_after


class TooManyKeyed(Exception):
    """A record remembers all the keyed writes that it can; this one was not begun.

    `retry_after_s`: whole seconds until it forgets the oldest ones.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many keyed writes, for {retry_after_s} s yet")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Answer:
    """A decided operation: its outcome, and the record's body (None where there is none).

    For a change that was DONE the body is the record after it (None after a delete); for a
    refusal it is the record that refused, if any.
    """

    outcome: Outcome
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the stable order of all records: just after `id` in `partition`."""

    partition: int
    id: str


@dataclass(frozen=True, slots=True)
class Page:
    """Bodies in stable order, and where the next page starts (None: no record follows)."""

    bodies: list[bytes]
    next: Cursor | None


class Records(Protocol):
    """A linearizable store of records by id. Every method raises `Unavailable` when undecided."""

    async def read(self, id: str) -> bytes | None:
        """The record's body, or None where there is no such record."""
        ...

    async def change(self, id: str, change: Change, *, key: str | None = None) -> Answer:
        """Do one change. `key` is the client's Idempotency-Key: once in ten minutes.

        Raises `TooManyKeyed`, too.
        """
        ...

    async def count(self) -> int:
        """How many records live."""
        ...

    async def page(self, *, after: Cursor | None, offset: int, limit: int) -> Page:
        """Up to `limit` records after `after` (None: from the start), `offset` skipped first."""
        ...

    def ready(self) -> bool:
        """Whether every cell has two reachable nodes, so that all operations can be decided."""
        ...

    def status(self) -> dict[str, object]:
        """This gateway's own view of the nodes and its counters, as JSON-ready values."""
        ...
