"""Group commit: one write and one flush for all commits since the last one.

A commit is visible at once, in `fresh`. Once per turn of the loop the group writes all fresh
commits as one batch. Then it flushes the log, one flush at a time. So a busy node pays one write
and one fsync for dozens of records. A commit on an idle node does not wait for others. Measured:
one write of ten records costs a fifth of ten writes of one.

`ddb.node.storage.flush_policy` decides when a flush starts and whether it runs on the loop.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from ddb.node.storage.flush_policy import MAX_GATHER_S, THREAD, FlushPolicy, Place
from ddb.node.storage.flush_thread import Flusher, attempt
from ddb.node.storage.store import Family, FlushObserver, Put, StoreFailed

Fresh = dict[Family, dict[bytes, bytes | None]]
"""The newest value of each key that is committed but not yet written; None means deleted."""


class GroupCommit:
    """Collects commits and makes them durable in the order of their arrival."""

    def __init__(
        self,
        write: Callable[[Fresh], None],
        flush: Callable[[], None] | None,
        failed: Callable[[StoreFailed], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the flush thread.

        Args:
            write: writes one atomic batch; it runs on the loop.
            flush: makes all batches durable, on the loop or in a thread. None where a written batch
                is durable enough.
            failed: receives the first failure of either.
            now: the time in seconds.
        """
        self.fresh: Fresh = {family: {} for family in Family}
        self.flusher = Flusher()
        self.observer: FlushObserver | None = None
        self._write = write
        self._flush: Callable[[], None] | None = flush and partial(self._timed, flush)
        self._failed = failed
        self._now = now
        self._policy = FlushPolicy(now())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next: asyncio.Future[None] | None = None
        """The future of all commits that the next flush covers."""
        self._flushing = False
        self._flushed_at = 0.0
        self._size = 0
        """Commits that the next flush covers."""
        self._gathering: asyncio.TimerHandle | None = None
        self._broken: StoreFailed | None = None

    def commit(self, puts: Sequence[Put]) -> asyncio.Future[None]:
        """As `Store.commit`."""
        durable = self._next
        if durable is None:
            loop = self._loop
            if loop is None:
                # Stored, since each call of get_running_loop costs a system call.
                loop = self._loop = asyncio.get_running_loop()
            durable = loop.create_future()
            if self._broken is not None:
                _fail(durable, self._broken)
                return durable
            self._next = durable
            if not self._flushing:
                self._schedule(loop)
        self._size += 1
        if self._gathering is not None and self._size >= self._policy.crowd:
            self._gathering.cancel()
            self._gathering = None
            durable.get_loop().call_soon(self._begin)
        for family, key, value in puts:
            self.fresh[family][key] = value
        return durable

    def write_out(self) -> None:
        """Write all fresh commits to the store; they are not durable yet."""
        if self._broken is not None or not any(self.fresh.values()):
            return
        try:
            self._write(self.fresh)
        except StoreFailed as failure:
            self.fail(failure)
            return
        for puts in self.fresh.values():
            puts.clear()

    def fail(self, failure: StoreFailed) -> None:
        """Fail all waiting and later commits: nothing becomes durable any more."""
        if self._broken is None:
            self._broken = failure
            self._failed(failure)
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done():
            _fail(waiting, failure)

    def close(self) -> None:
        """Write all fresh commits, and end the thread after the flush in flight."""
        self.write_out()
        self.flusher.close()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._size < self._policy.crowd:
            self._gathering = loop.call_later(MAX_GATHER_S, self._begin)
        else:
            loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._gathering = None
        self.write_out()
        waiting, self._next = self._next, None
        commits, self._size = self._size, 0
        if self._flush is not None:
            self._policy.cover(commits)
        if waiting is None:
            return
        if self._flush is None:
            self._settle(waiting, None)
            return
        began = self._now()
        place = self._policy.place(began)
        if place is THREAD:
            self._flushing = True
            if self.observer is not None:
                self.observer.flush_began()
            self.flusher.run(self._flush, partial(self._ended, waiting, began, place))
        else:
            self._ended(waiting, began, place, attempt(self._flush))

    def _timed(self, flush: Callable[[], None]) -> None:
        """Flush, and note the end here: the loop may run `_ended` much later."""
        try:
            flush()
        finally:
            self._flushed_at = self._now()

    def _ended(
        self, waiting: asyncio.Future[None], began: float, place: Place, error: Exception | None
    ) -> None:
        self._flushing = False
        ended = self._flushed_at
        self._policy.end(place, began, ended)
        if self.observer is not None:
            self.observer.flush_ended(ended - began)
        self._settle(waiting, error)
        if self._next is not None and self._loop is not None:
            self._schedule(self._loop)

    def _settle(self, waiting: asyncio.Future[None], error: Exception | None) -> None:
        if error is not None:
            # After a failed fsync the kernel may have dropped the pages. A second fsync would
            # succeed without them.
            self.fail(StoreFailed(str(error)))
        if waiting.done():
            return
        if self._broken is not None:
            _fail(waiting, self._broken)
        else:
            waiting.set_result(None)

    def __repr__(self) -> str:
        fresh = sum(map(len, self.fresh.values()))
        return f"<GroupCommit {fresh} fresh, {'flushing' if self._flushing else 'idle'}>"


def _fail(durable: asyncio.Future[None], failure: StoreFailed) -> None:
    """Fail a commit. The node reports the failure once, also where no request awaits the commit."""
    durable.set_exception(failure)
    durable.exception()
