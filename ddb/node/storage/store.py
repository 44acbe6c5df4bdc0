"""The port between a node and its disk."""

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol


class Family(Enum):
    """Separate key spaces of one store."""

    RECORDS = "records"
    """Home copies, by key."""
    HINTS = "hints"
    """Copies held in a home's stead, by key."""
    DIGESTS = "tallies"
    """Per partition, by its two bytes: live count and digest of the home copies."""
    META = "meta"
    """What the node knows of itself."""

    # Enum's own hash is computed in Python from the name, and a family is looked up at every get.
    __hash__ = object.__hash__


Put = tuple[Family, bytes, bytes | None]
"""One change to a key: its new value, or None to delete it."""


class StoreFailed(Exception):
    """The disk refused a write or a flush; nothing more is done."""


class Unreadable(Exception):
    """A block of the store cannot be read; `key` is the first key that needs it."""

    def __init__(self, family: Family, key: bytes, reason: str) -> None:
        super().__init__(reason)
        self.family = family
        self.key = key


class NoDescriptors(StoreFailed):
    """A read found no free file descriptor; it has done nothing, and a later one may succeed."""


class StoreRefused(Exception):
    """The data directory cannot be used; the message is a sentence for the operator."""


async def written(commit: asyncio.Future[None] | None) -> None:
    """Wait until a commit, for which others wait as well, is durable; None where it is already.

    Raises `StoreFailed`.
    """
    if commit is not None:
        # Whoever is cancelled, as the node stops, must not end it for the others.
        await asyncio.shield(commit)


class FlushObserver(Protocol):
    """A listener for the flushes of a store: how long each takes tells how the disk is."""

    def flush_began(self) -> None:
        """Note that a flush starts off the loop; `flush_ended` follows."""
        ...

    def flush_ended(self, seconds: float) -> None:
        """Note that a flush took `seconds`; one on the loop is reported only here."""
        ...


Readable = Callable[[bytes, int], tuple[list[tuple[bytes, bytes]], bytes | None]]
"""Given a key and a limit: pairs from that key on, and the key to go on from (None at the end)."""


class Store(Protocol):
    """An ordered byte store with atomic batches and group commit."""

    def get(self, family: Family, key: bytes) -> bytes | None:
        """The last value written, durable or not. Raises `Unreadable`, `StoreFailed`."""
        ...

    def commit(self, puts: Sequence[Put]) -> asyncio.Future[None]:
        """Write a batch, atomic and visible at once; the future is done once it is durable.

        Batches become durable in the order they were written. The future raises `StoreFailed`,
        and after that every later commit does.
        """
        ...

    def scan(
        self, family: Family, start: bytes, stop: bytes, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Up to `limit` pairs with start <= key < stop, in key order.

        Raises `Unreadable` where a block in between cannot be read, and `StoreFailed`.
        """
        ...

    def extent(self, family: Family, key: bytes) -> tuple[bytes, bytes]:
        """The unreadable keys around `key`: from the first one to before the next readable one."""
        ...

    async def rewrite(self, family: Family, rows: Readable) -> None:
        """Copy a family to new files, while it is in use; the old files are removed.

        `rows` gives the pairs to copy. A crash on the way leaves the family as it was. Raises
        `StoreFailed`.
        """
        ...

    def damage_met(self) -> int:
        """How often work in the background has met blocks that cannot be read."""
        ...

    def disk_bytes(self) -> int:
        """Bytes that the store's files occupy."""
        ...

    def close(self) -> None:
        """Make everything durable and let go of the files."""
        ...
