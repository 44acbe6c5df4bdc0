"""Ballots: a node's counters, and the durable ceiling above its promises.

Promises are in memory only. The ceiling makes that safe. It is a counter on disk, at or above every
ballot that this node has issued or promised. A restart loses the promises. The node then refuses
every ballot up to the ceiling on its disk, which becomes its floor.
"""

import asyncio

from ddb.node.storage.store import Family, Store, written
from ddb.record.hybrid_clock import HybridClock, at_millisecond
from ddb.record.version import Dot
from ddb.wire.ports import Clock

CEILING_KEY = b"ceiling"
"""The META key of the ceiling."""
RESERVED_AHEAD = at_millisecond(2_000)
"""Counters between a ballot and the ceiling that the node then reserves: two seconds of them.

Too low: ballots wait for the disk often. Too high: a restart skips more counters.
"""


class Ballots:
    """Issues this node's ballots and keeps the ceiling above everything it has promised."""

    def __init__(self, node_id: int, store: Store, clock: Clock) -> None:
        self.node_id = node_id
        self._store = store
        self._clock = clock
        stored = store.get(Family.META, CEILING_KEY)
        self.floor = int.from_bytes(stored, "big") if stored else 0
        """The counter up to which this node refuses ballots."""
        self.issued = self.floor
        """The last counter issued, never above the ceiling on disk.

        It starts at the floor: earlier processes of this node issued no ballot above that. Observed
        counters do not count, since a restart loses them and issues below them again.
        """
        self._hybrid = HybridClock(self.floor)
        self._ceiling = self.floor
        self._reserving: asyncio.Future[None] | None = None
        self._reserved_next = self.floor
        self._covered = self.floor

    @property
    def counter(self) -> int:
        """A counter at or above every one issued or observed."""
        return self._hybrid.last

    @property
    def reached(self) -> int:
        """The greatest counter issued, promised or accepted that the ceiling on disk covers."""
        return min(self._covered, self._ceiling)

    @property
    def reserved(self) -> int:
        """A counter at or above every one issued, promised or accepted, before restarts too."""
        return max(self._reserved_next, self.floor)

    def observe(self, counter: int) -> None:
        """Make this node's next ballots greater than `counter`."""
        self._hybrid.observe(counter)

    def fence(self, counter: int) -> None:
        """Refuse every ballot up to `counter` for as long as this process runs."""
        self.observe(counter)
        self.floor = max(self.floor, counter)

    async def raise_floor(self, counter: int) -> None:
        """Refuse every ballot up to `counter` from now on, and after a restart."""
        self.fence(counter)
        await written(self.cover(counter))

    async def issue(self, above: Dot) -> Dot:
        """Return a new ballot above `above`, covered by the ceiling. Raises `StoreFailed`."""
        counter = self._hybrid.next(self._clock.wall_ms(), above.counter)
        await written(self.cover(counter))
        self.issued = max(self.issued, counter)
        return Dot(counter, self.node_id)

    def issue_now(self, above: Dot) -> Dot | None:
        """Like `issue` without waiting; None where the ceiling is too low."""
        counter = self._hybrid.next(self._clock.wall_ms(), above.counter)
        if self.cover(counter) is not None:
            return None
        # The clock has just issued it, above every earlier counter.
        self.issued = counter
        return Dot(counter, self.node_id)

    def cover(self, counter: int) -> asyncio.Future[None] | None:
        """Raise the ceiling above `counter` where necessary.

        Returns None where the durable ceiling covers `counter`, else the commit to wait for.
        """
        if counter > self._covered:  # noqa: PLR1730, a call of max costs 130 ns more
            self._covered = counter
        if counter > self._reserved_next - RESERVED_AHEAD // 2:
            self._reserve(counter + RESERVED_AHEAD)
        return None if counter <= self._ceiling else self._reserving

    def _reserve(self, ceiling: int) -> None:
        self._reserved_next = ceiling
        written = self._store.commit([(Family.META, CEILING_KEY, ceiling.to_bytes(8, "big"))])
        self._reserving = written
        written.add_done_callback(lambda done: self._raised(done, ceiling))

    def _raised(self, written: asyncio.Future[None], ceiling: int) -> None:
        if written.exception() is None:
            self._ceiling = max(self._ceiling, ceiling)

    def __repr__(self) -> str:
        return f"<Ballots {self.node_id:x} at {self.counter:x}, floor {self.floor:x}>"
