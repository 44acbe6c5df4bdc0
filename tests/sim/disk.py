"""The simulated disk: which writes survive which fault.

A store writes its commits to a log in the page cache, once per flush. Flushes take time and make
the commits durable in order. Three faults lose writes, always whole batches from the end:

- A killed process loses at most the batches that it has not written to the page cache.
- A power failure loses at most the unflushed batches. A torn batch fails its checksum, so it and
  all later ones are lost.
- A failed flush loses the same, since the kernel may have dropped the pages.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ddb.node.storage.store import Family, Put
from tests.sim.rot import CLEARED, Rots

Batch = tuple[Put, ...]
Content = dict[Family, dict[bytes, bytes]]
_TORN = 0.5
_COMPACTION_INTERVAL_S = 0.3
"""Virtual seconds until a compaction meets the rot again."""


class Timers(Protocol):
    """The part of a loop that a disk uses, simulated or real."""

    def create_future(self) -> asyncio.Future[Any]:
        """As asyncio's."""
        ...

    def call_soon(self, callback: Callable[..., object], *args: Any) -> object:
        """As asyncio's."""
        ...

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> object:
        """As asyncio's."""
        ...


@dataclass(slots=True)
class Health:
    """The current health of a disk; `fsync` and `jitter` are seconds per flush."""

    fsync: float = 0.0004
    jitter: float = 0.0004
    full: bool = False
    failing: bool = False
    stalled: int = 0
    """Number of faults that stall flushes; while it is above 0, no flush ends."""


class SimDisk:
    """The durable content of a disk, and the page cache."""

    def __init__(self, loop: Timers, rng: random.Random) -> None:
        self.loop = loop
        self.rng = rng
        self.health = Health()
        self.unsynced: list[Batch] = []
        self.cached = 0
        """Number of unsynced batches that are in the page cache, so that a kill keeps them."""
        self.torn = 0
        """Number of power failures in the middle of a batch."""
        self.rots = Rots()
        self.met = 0
        """Number of times that a compaction has met rot."""
        self.trap: Callable[[], None] | None = None
        """Called by the next write, once."""
        self._durable: dict[Family, dict[bytes, bytes]] = {family: {} for family in Family}

    def write(self, batch: Batch) -> None:
        """Put a batch into the page cache."""
        self.unsynced.append(batch)
        if self.trap is not None:
            trap, self.trap = self.trap, None
            trap()

    def sync(self, batches: int) -> None:
        """Make the oldest `batches` durable."""
        for batch in self.unsynced[:batches]:
            for family, key, value in batch:
                if self.rots.malformed:
                    self.rots.malformed.discard((family, key))
                if key == CLEARED:
                    self.rots.cleared(family, value or b"")
                elif value is None:
                    self._durable[family].pop(key, None)
                else:
                    self._durable[family][key] = value
        del self.unsynced[:batches]
        self.cached = max(0, self.cached - batches)

    def lose_power(self) -> int:
        """Lose the unflushed batches but for a prefix; return the number lost."""
        kept = self.rng.randint(0, len(self.unsynced))
        self.sync(kept)
        lost = len(self.unsynced)
        # Half of a batch may be on the disk. Its checksum is wrong, so it does not count.
        self.torn += bool(lost) and self.rng.random() < _TORN
        self.unsynced.clear()
        return lost

    def lose_process(self) -> int:
        """Lose batches outside the page cache; return the number lost."""
        kept = self.rng.randint(min(self.cached, len(self.unsynced)), len(self.unsynced))
        lost = len(self.unsynced) - kept
        del self.unsynced[kept:]
        return lost

    def image(self) -> Content:
        """Return a copy of the durable content."""
        return {family: dict(pairs) for family, pairs in self._durable.items()}

    def spoil(self, family: Family, key: bytes, raw: bytes) -> None:
        """Replace the bytes of a durable row by `raw`, which is no state."""
        self.rots.malformed.add((family, key))
        self._durable[family][key] = raw

    def writes(self, family: Family, key: bytes) -> bool:
        """Whether a batch that is not durable writes the row."""
        return any(put[:2] == (family, key) for batch in self.unsynced for put in batch)

    def put_back(self, image: Content) -> None:
        """Replace the content of the disk by an image."""
        self.rots.malformed.clear()
        self.unsynced.clear()
        self.cached = 0
        self._durable = {family: dict(pairs) for family, pairs in image.items()}

    def content(self) -> Content:
        """Return the content that a process finds when it opens this disk."""
        self.sync(len(self.unsynced))
        return self.image()

    def durable(self, family: Family) -> Mapping[bytes, bytes]:
        """Return the durable rows of a family."""
        return self._durable[family]

    def get(self, family: Family, key: bytes) -> bytes | None:
        """Return the durable value of a key, or None."""
        return self._durable[family].get(key)

    def rot(self, family: Family, keys: list[bytes], met: float) -> None:
        """Make the blocks of some rows unreadable.

        Args:
            met: virtual seconds until a compaction meets them.
        """
        self.rots.begin(family, keys)
        self.loop.call_later(met, self._meet)

    def _meet(self) -> None:
        self.met += 1
        if self.rots.there:
            # RocksDB retries a failed compaction. A new process counts from 0.
            self.loop.call_later(_COMPACTION_INTERVAL_S, self._meet)

    def __repr__(self) -> str:
        return f"<SimDisk {len(self.unsynced)} batches not flushed>"
