"""The store on RocksDB, with group commit (`ddb.node.storage.group_commit`)."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
from rocksdict import ColumnFamily, Rdict, WriteBatch

from ddb.node.storage import cursor
from ddb.node.storage import durable_mark as mark
from ddb.node.storage.group_commit import Fresh, GroupCommit
from ddb.node.storage.rocksdb_open import FAMILIES, GENERATION, family_options, lock, open_marked
from ddb.node.storage.store import (
    Family,
    FlushObserver,
    NoDescriptors,
    Put,
    Readable,
    StoreFailed,
    StoreRefused,
    Unreadable,
)
from ddb.runtime.scheduling import schedule_in_background
from ddb.settings import Fsync

log = logging.getLogger(__name__)

COMPACTION_THREAD_NAME = "rocksdb:low"
"""The name of RocksDB's compaction threads.

A compaction takes one to two seconds of CPU time, and requests must not wait for it.
"""
MARK_INTERVAL_S = 1.0
"""Most seconds from a flush to the mark that covers it (`durable_mark`).

Too low: marks cost flushes of their own. Too high: a truncated log goes unnoticed for longer.
"""
MEMTABLE_NOT_WRITTEN = ("Shutdown in progress", "Column family dropped")
"""RocksDB's reports of a close that does not write a memtable to a table."""
REWRITE_ROWS = 100
"""Rows that a rewrite copies at a time.

Too low: a rewrite takes long. Too high: requests wait longer than a millisecond for each step.
"""
REWRITE_PAUSE_S = 0.002
"""Seconds between the steps of a rewrite.

Too low: requests share the loop with the copying. Too high: a damaged file stays for longer.
"""


class RocksStore:
    """A `Store` in a directory of its own."""

    def __init__(self, path: Path, fsync: Fsync) -> None:
        """Open or create the store in `path`. Raises `StoreRefused`."""
        self.path = path
        self._fsync = fsync is Fsync.ALWAYS
        self._rocks = path / "rocks"
        self._lock = lock(path)
        self._marking: asyncio.TimerHandle | None = None
        try:
            self._db, self._names, self._durable = open_marked(path, self._rocks)
        except StoreRefused:
            os.close(self._lock)
            raise
        schedule_in_background(COMPACTION_THREAD_NAME)
        self._families: dict[Family, Rdict] = {
            family: self._db.get_column_family(name) for family, name in self._names.items()
        }
        self._handles: dict[Family, ColumnFamily] = {
            family: self._db.get_column_family_handle(name) for family, name in self._names.items()
        }
        self._copies: dict[Family, ColumnFamily] = {}
        """The new column family of each rewrite in progress: writes go to both."""
        self._group = GroupCommit(
            self._write, self._flush_log if self._fsync else None, self._failed
        )
        self._broken: str | None = None
        self._on_failure: Callable[[StoreFailed], None] | None = None

    def get(self, family: Family, key: bytes) -> bytes | None:
        """As `Store.get`."""
        fresh = self._group.fresh[family]
        if fresh and key in fresh:
            return fresh[key]
        try:
            value: bytes | None = self._families[family].get(key)
        except Exception as error:
            # rocksdict raises bare Exception for all that RocksDB reports.
            raise self._read_failed(cursor.read_error(family, key, error)) from error
        return value

    def _read_failed(self, failure: Unreadable | StoreFailed) -> Exception:
        if isinstance(failure, StoreFailed) and not isinstance(failure, NoDescriptors):
            self._group.fail(failure)
        return failure

    def commit(self, puts: Sequence[Put]) -> asyncio.Future[None]:
        """As `Store.commit`."""
        if self._fsync and self._marking is None:
            # Without fsync no write is certainly durable until the store is closed.
            self._marking = asyncio.get_running_loop().call_later(MARK_INTERVAL_S, self._mark)
        return self._group.commit(puts)

    def _write(self, fresh: Fresh) -> None:
        batch = WriteBatch(raw_mode=True)
        for family, puts in fresh.items():
            if not puts:
                continue
            _add(batch, self._handles[family], puts)
            if family in self._copies:
                _add(batch, self._copies[family], puts)
        try:
            self._db.write(batch)
        except Exception as error:
            # rocksdict raises bare Exception for all that RocksDB reports.
            raise StoreFailed(str(error)) from error

    def when_broken(self, report: Callable[[StoreFailed], None]) -> None:
        """Call `report` once the disk refuses a write."""
        self._on_failure = report

    def observe(self, observer: FlushObserver) -> None:
        """Report every flush from now on to `observer`."""
        self._group.observer = observer

    def _flush_log(self) -> None:
        self._db.flush_wal(True)

    def _mark(self) -> None:
        self._marking = None
        self._group.flusher.run(self._measure, self._measured)

    def _measure(self) -> None:
        measured = mark.measure(self._rocks, self._db.latest_sequence_number())
        self._db.flush_wal(True)
        self._durable = measured

    def _measured(self, error: Exception | None) -> None:
        if isinstance(error, OSError):
            # The directory could not be listed, perhaps for lack of a file descriptor.
            log.warning(mark.NOT_UPDATED, self.path, error)
        elif error is not None:
            self._group.fail(StoreFailed(str(error)))
        elif self._broken is None:
            # Writes run on the loop, as this does. So the measured log has no part of a write that
            # then failed: RocksDB removes such a part.
            self._group.flusher.run(partial(mark.write, self.path, self._durable), self._marked)

    def _marked(self, error: Exception | None) -> None:
        if error is not None:
            log.warning(mark.NOT_UPDATED, self.path, error)

    def _failed(self, failure: StoreFailed) -> None:
        self._broken = self._broken or str(failure)
        if self._on_failure is not None:
            self._on_failure(failure)

    def scan(
        self, family: Family, start: bytes, stop: bytes, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """As `Store.scan`."""
        if self._group.fresh[family]:
            self._group.write_out()
        try:
            return cursor.pairs(self._families[family], family, start, stop, limit)
        except NoDescriptors:
            # This read alone fails: a later one may succeed.
            raise
        except StoreFailed as failure:
            self._group.fail(failure)
            raise

    def extent(self, family: Family, key: bytes) -> tuple[bytes, bytes]:
        """As `Store.extent`."""
        return cursor.extent(self._families[family], key)

    def damage_met(self) -> int:
        """As `Store.damage_met`."""
        return self._db.property_int_value("rocksdb.background-errors") or 0

    async def rewrite(self, family: Family, rows: Readable) -> None:
        """As `Store.rewrite`.

        RocksDB cannot remove one damaged file online, and each compaction would meet it again.
        """
        old = self._names[family]
        base, _, number = old.partition(GENERATION)
        name = f"{base}{GENERATION}{int(number or 1) + 1}"
        try:
            # Each compaction would fail at the damaged block, and uncompacted tables stop writes.
            self._families[family].set_options({"disable_auto_compactions": "true"})
            fresh = self._db.create_column_family(name, family_options())
            handle = self._db.get_column_family_handle(name)
        except Exception as error:
            # rocksdict raises bare Exception for all that RocksDB reports.
            raise self._broke(error) from error
        self._copies[family] = handle
        position: bytes | None = b""
        while position is not None:
            page, position = rows(position, REWRITE_ROWS)
            # No await between read and copy: a commit after both goes to both families.
            self._copy(handle, page)
            await asyncio.sleep(REWRITE_PAUSE_S)
        names = {each.value: self._names[each] for each in Family} | {base: name}
        await self.commit([(Family.META, FAMILIES, msgspec.json.encode(names))])
        self._group.write_out()
        before, self._families[family] = self._families[family], fresh
        self._handles[family], self._names[family] = self._copies.pop(family), name
        try:
            self._db.drop_column_family(old)
        except Exception as error:
            # rocksdict raises bare Exception for all that RocksDB reports.
            raise self._broke(error) from error
        # After the drop, since a family that is not dropped writes its memtable at its end.
        self._close_step(before.close)

    def _copy(self, handle: ColumnFamily, rows: Sequence[tuple[bytes, bytes]]) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in rows:
            batch.put(key, value, handle)
        try:
            self._db.write(batch)
        except Exception as error:
            # rocksdict raises bare Exception for all that RocksDB reports.
            raise self._broke(error) from error

    def _broke(self, error: Exception) -> StoreFailed:
        failure = StoreFailed(str(error))
        self._group.fail(failure)
        return failure

    def disk_bytes(self) -> int:
        """As `Store.disk_bytes`."""
        total = 0
        for entry in os.scandir(self._rocks):
            try:
                total += entry.stat().st_blocks * 512
            except FileNotFoundError:
                # A compaction has removed it.
                continue
        return total

    def close(self) -> None:
        """As `Store.close`.

        RocksDB writes its memtables to tables when it closes. On a full disk it waits for room
        without end, and the process does not exit. The log contains all of them, so the store
        closes without tables. The next start reads the log as after a crash.
        """
        if self._marking is not None:
            self._marking.cancel()
        self._group.close()
        self._handles.clear()
        if self._broken is None:
            self._close_step(self._measure_and_mark)
        self._db.cancel_all_background(False)
        for rocks in (*self._families.values(), self._db):
            self._close_step(rocks.close)
        os.close(self._lock)

    def _measure_and_mark(self) -> None:
        self._measure()
        mark.write(self.path, self._durable)

    def _close_step(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001
            # rocksdict raises bare Exception for all that RocksDB reports.
            if str(error).startswith(MEMTABLE_NOT_WRITTEN):
                return
            log.warning(
                "closing %s failed: %s. No acknowledged write is affected; a restart recovers"
                " the store from its log",
                self.path,
                error,
            )

    def __repr__(self) -> str:
        return f"<RocksStore {self.path} {self._broken or 'healthy'}>"


def _add(batch: WriteBatch, handle: ColumnFamily, puts: Mapping[bytes, bytes | None]) -> None:
    for key, value in puts.items():
        if value is None:
            batch.delete(key, handle)
        else:
            batch.put(key, value, handle)
