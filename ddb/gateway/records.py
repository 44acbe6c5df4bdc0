"""The port between HTTP and the cluster."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import msgspec

from ddb.record.change import Change, Outcome


class Applied(Enum):
    """Whether an undecided change was made."""

    NO = "no"
    """It was not made, and never will be. A client can safely send it again."""
    UNKNOWN = "unknown"
    """It may have been made, or may still be made, within moments of the error."""


class Unavailable(Exception):
    """The cluster did not decide the operation in time.

    Args:
        applied: whether a change was made.
        reason: the cause, as a clause for the client's error message.
        retry_after_s: whole seconds that the client should wait before it tries again.
    """

    def __init__(self, applied: Applied, reason: str, *, retry_after_s: int = 1) -> None:
        super().__init__(reason)
        self.applied = applied
        self.retry_after_s = retry_after_s


class TooManyKeyed(Exception):
    """A record has no room for another keyed write, so this one was not begun.

    `retry_after_s`: whole seconds until the record drops its oldest keyed writes.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many keyed writes, for {retry_after_s} s yet")
        self.retry_after_s = retry_after_s


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A decided change: its outcome and the record's body.

    After `DONE` the body is the new one; None after a delete. After a refusal it is the body that
    did not meet the condition; None if the record does not exist.
    """

    outcome: Outcome
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in the stable order of all records: just after `id` in `partition`."""

    partition: int
    id: str


@dataclass(frozen=True, slots=True)
class Page:
    """Bodies in stable order. `next`: where the next page starts; None: no record follows."""

    bodies: list[bytes]
    next: Cursor | None


class Records(Protocol):
    """A linearizable store of records by id.

    Each `async` method raises `Unavailable` if the cluster does not decide in time.
    """

    async def read(self, id: str) -> bytes | None:
        """Return the body of a record; None: it does not exist."""
        ...

    async def change(self, id: str, change: Change, *, key: str | None = None) -> Answer:
        """Make one change.

        `key`: the client's Idempotency-Key. Changes with one key take effect once in ten minutes.
        None: the client sent no key.

        Raises: `Unavailable`, `TooManyKeyed`.
        """
        ...

    async def count(self) -> int:
        """Return the number of live records."""
        ...

    async def page(self, *, after: Cursor | None, offset: int, limit: int) -> Page:
        """Skip `offset` records after `after` (None: the start), and return up to `limit`."""
        ...

    def ready(self) -> bool:
        """Return whether each cell has two reachable nodes, so that each record can be decided."""
        ...

    def status(self) -> dict[str, object]:
        """Return this gateway's own view of the nodes, and its counters, as JSON values."""
        ...
