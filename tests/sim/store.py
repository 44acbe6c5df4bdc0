"""The simulated store: what one process reads and writes on a simulated disk."""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence

from ddb.node.storage.store import Family, FlushObserver, Put, Readable, StoreFailed, Unreadable
from ddb.ring.ring import END
from tests.sim.disk import SimDisk
from tests.sim.rot import CLEARED, Reading

STALL_CHECK_INTERVAL_S = 0.005
"""Virtual seconds between checks whether a stalled disk works again."""
_ROWS_PER_COPY = 3
"""Rows that a rewrite copies at a time; few, so that other work comes in between."""


class SimStore:
    """A `Store` on a simulated disk, with the group commit of the real one."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk
        self._view = disk.content()
        self._order = {family: sorted(pairs) for family, pairs in self._view.items()}
        self._reading = Reading(disk.rots)
        self._met = disk.met
        self._copies: dict[Family, dict[bytes, bytes]] = {}
        self._next: asyncio.Future[None] | None = None
        self._flushing = False
        self._broken: str | None = None
        self._on_failure: Callable[[StoreFailed], None] | None = None
        self._observer: FlushObserver | None = None

    def get(self, family: Family, key: bytes) -> bytes | None:
        """As `Store.get`."""
        self._reading.check(family, key)
        return self._view[family].get(key)

    def commit(self, puts: Sequence[Put]) -> asyncio.Future[None]:
        """As `Store.commit`."""
        loop = self._disk.loop
        if self._broken is not None:
            failed: asyncio.Future[None] = loop.create_future()
            failed.set_exception(StoreFailed(self._broken))
            return failed
        if self._next is None:
            self._next = loop.create_future()
            if not self._flushing:
                loop.call_soon(self._flush)
        durable = self._next
        if self._disk.health.full:
            self._fail("no space left on device")
            return durable
        self._disk.write(tuple(puts))
        for family, key, value in puts:
            if key != CLEARED:
                self._apply(family, key, value)
                self._disk.rots.written(family, key)
        return durable

    def observe(self, observer: FlushObserver) -> None:
        """Report each later flush to `observer`."""
        self._observer = observer

    def when_broken(self, tell: Callable[[StoreFailed], None]) -> None:
        """Call `tell` once the disk refuses a write."""
        self._on_failure = tell

    def scan(
        self, family: Family, start: bytes, stop: bytes, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """As `Store.scan`."""
        order, view = self._order[family], self._view[family]
        at = bisect_left(order, start)
        end = min(bisect_left(order, stop), at + limit)
        rotten = [key for key in self._reading.rotten(family) if start <= key < stop]
        if rotten:
            reached = bisect_left(order, min(rotten))
            if reached - at < limit:
                first = order[reached - 1] + b"\x00" if reached > at else start
                raise Unreadable(family, first, "rotten block")
        return [(key, view[key]) for key in order[at:end]]

    def rows(self, family: Family) -> list[tuple[bytes, bytes]]:
        """Return all rows, unreadable ones too, for an observer."""
        return [(key, self._view[family][key]) for key in self._order[family]]

    def spoil(self, family: Family, key: bytes, raw: bytes) -> None:
        """Let this process read `raw` in place of a row."""
        self._view[family][key] = raw

    def extent(self, family: Family, key: bytes) -> tuple[bytes, bytes]:
        """As `Store.extent`."""
        return self._reading.extent(family, key, self._order[family], END)

    def damage_met(self) -> int:
        """As `Store.damage_met`."""
        return self._disk.met - self._met

    async def rewrite(self, family: Family, rows: Readable) -> None:
        """As `Store.rewrite`."""
        behind = self._disk.rots.numbers(family)
        copy = self._copies[family] = {}
        at: bytes | None = b""
        while at is not None:
            some, at = rows(at, _ROWS_PER_COPY)
            copy.update(some)
            await asyncio.sleep(0.0002)
        del self._copies[family]
        puts: list[Put] = [(family, CLEARED, behind)]
        puts += ((family, key, None) for key in self._order[family] if key not in copy)
        durable = self.commit(puts)
        self._reading.leave(behind)
        await durable

    def disk_bytes(self) -> int:
        """As `Store.disk_bytes`."""
        return sum(
            len(key) + len(value) for view in self._view.values() for key, value in view.items()
        )

    def close(self) -> None:
        """As `Store.close`."""
        if self._broken is None:
            self._disk.sync(len(self._disk.unsynced))

    def _apply(self, family: Family, key: bytes, value: bytes | None) -> None:
        view, order = self._view[family], self._order[family]
        copy = self._copies.get(family)
        if copy is not None and value is None:
            copy.pop(key, None)
        elif copy is not None and value is not None:
            copy[key] = value
        if value is None:
            if view.pop(key, None) is not None:
                del order[bisect_left(order, key)]
        else:
            if key not in view:
                insort(order, key)
            view[key] = value

    def _flush(self) -> None:
        waiting, self._next = self._next, None
        if waiting is None or self._broken is not None:
            return
        self._flushing = True
        disk = self._disk
        delay = disk.health.fsync + disk.rng.random() * disk.health.jitter
        disk.cached = len(disk.unsynced)
        if self._observer is not None:
            self._observer.flush_began()
        disk.loop.call_later(delay, self._flushed, waiting, disk.cached, delay)

    def _flushed(self, waiting: asyncio.Future[None], batches: int, seconds: float) -> None:
        if self._disk.health.stalled:
            again = seconds + STALL_CHECK_INTERVAL_S
            self._disk.loop.call_later(
                STALL_CHECK_INTERVAL_S, self._flushed, waiting, batches, again
            )
            return
        self._flushing = False
        if self._observer is not None:
            self._observer.flush_ended(seconds)
        if self._disk.health.failing:
            if not waiting.done():
                waiting.set_exception(StoreFailed("input/output error"))
            self._fail("input/output error")
            return
        self._disk.sync(batches)
        if not waiting.done():
            waiting.set_result(None)
        if self._next is not None:
            self._flush()

    def _fail(self, reason: str) -> None:
        self._broken = reason
        if self._on_failure is not None:
            self._on_failure(StoreFailed(reason))
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(StoreFailed(reason))

    def __repr__(self) -> str:
        return f"<SimStore {self._broken or 'healthy'}, {self._disk!r}>"
