"""The port between a node and its disk."""

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol


class Family(Enum):
    """A key space of the store."""

    RECORDS = "records"
    """Home copies, by key."""
    HINTS = "hints"
    """A standby's copies, by key."""
    DIGESTS = "tallies"
    """Digests of the home copies, by partition (two bytes)."""
    META = "meta"
    """The node's own settings and counters."""

    # Each get looks up a family, and Enum's own hash runs in Python.
    __hash__ = object.__hash__


Put = tuple[Family, bytes, bytes | None]
"""One change of a key: its new value, or None to delete it."""


class StoreFailed(Exception):
    """The disk refused a write or a flush; the store accepts no more."""


class Unreadable(Exception):
    """The store cannot read a block; `key` is the first key that needs it."""

    def __init__(self, family: Family, key: bytes, reason: str) -> None:
        super().__init__(reason)
        self.family = family
        self.key = key


class NoDescriptors(StoreFailed):
    """A read found no free file descriptor; it had no effect, and a later one may succeed."""


class StoreRefused(Exception):
    """The data directory cannot be used; the message tells the operator why."""


async def written(commit: asyncio.Future[None] | None) -> None:
    """Wait until a commit is durable; None is durable already.

    Several callers may wait for one commit.

    Raises:
        StoreFailed: the disk refused the commit.
    """
    if commit is not None:
        # The shield keeps the commit for the other waiters when one is cancelled.
        await asyncio.shield(commit)


class FlushObserver(Protocol):
    """A listener for the duration of each flush."""

    def flush_began(self) -> None:
        """Note that a flush starts in the thread; `flush_ended` follows."""
        ...

    def flush_ended(self, seconds: float) -> None:
        """Note that a flush took `seconds`; a flush on the loop is reported only here."""
        ...


Readable = Callable[[bytes, int], tuple[list[tuple[bytes, bytes]], bytes | None]]
"""Given a key and a limit, returns pairs from that key on, and the key to continue from.

That key is None at the end.
"""


class Store(Protocol):
    """An ordered byte store with atomic batches and group commit."""

    def get(self, family: Family, key: bytes) -> bytes | None:
        """Return the newest value, durable or not. Raises `Unreadable` and `StoreFailed`."""
        ...

    def commit(self, puts: Sequence[Put]) -> asyncio.Future[None]:
        """Write an atomic batch that is visible at once; the future ends when it is durable.

        Batches become durable in the order of their commits. Once a future has raised
        `StoreFailed`, every later commit raises it, too.
        """
        ...

    def scan(
        self, family: Family, start: bytes, stop: bytes, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` pairs with start <= key < stop, in key order.

        Raises:
            Unreadable: the store cannot read a block among them.
            StoreFailed: the read failed for another reason.
        """
        ...

    def extent(self, family: Family, key: bytes) -> tuple[bytes, bytes]:
        """Return the unreadable range around `key`: its first key, and the next readable one."""
        ...

    async def rewrite(self, family: Family, rows: Readable) -> None:
        """Copy a family to new files while it is in use, and remove the old files.

        A crash before the end leaves the family as it was.

        Args:
            rows: returns the pairs to copy.

        Raises:
            StoreFailed: the disk refused a write.
        """
        ...

    def damage_met(self) -> int:
        """Return how often background work has met unreadable blocks."""
        ...

    def disk_bytes(self) -> int:
        """Return the bytes on disk of the store's files."""
        ...

    def close(self) -> None:
        """Make all commits durable and close the files."""
        ...
