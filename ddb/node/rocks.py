"""The store on RocksDB, with group commit (`ddb.node.group`)."""

import asyncio
import fcntl
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    Cache,
    ColumnFamily,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
)

from ddb.node import mark
from ddb.node.group import Fresh, GroupCommit
from ddb.node.store import Family, FlushObserver, NoDescriptors, Put, StoreFailed, StoreRefused
from ddb.settings import Fsync
from ddb.wire.descriptors import exhausted, limit_in_force, tables_in
from ddb.wire.scheduling import in_background

log = logging.getLogger(__name__)

BLOCK_CACHE = 128 * 1024 * 1024
WRITE_BUFFER = 16 * 1024 * 1024
MOST_LOG = 16 * 1024 * 1024
"""Records lie in the log uncompressed, and a store is small: most of it must be in tables. But a
compaction rewrites a small store as a whole, after so many times four of what was written."""
MEMORY_FILTER = 0.1
"""Part of a write buffer for a filter: most reads are of records not written lately, and need not
search the buffer for them. With 100,000 users a twentieth of a GET's CPU time."""
BLOCK = 8 * 1024
DICTIONARY = 16 * 1024
"""Bytes of a dictionary per table: it takes a twentieth off the disk, and lets blocks be small.

They are samples of what is compressed, as they are: a dictionary trained on more of them made
writing a table cost three times as much, and it smaller by a fortieth.
"""
ZSTD_LEVEL = 1
"""The default takes a fifth more CPU time, and 2 % less of the disk."""
ZSTD_WINDOW = -14
"""RocksDB's own default, which one of the others cannot be set without."""
_BEYOND_SETTERS = Path(__file__).with_name("options")
"""A directory that rocksdict takes for a store's, to load that store's options."""
COMPACTION = "rocksdb:low"
"""The name that RocksDB gives the threads which compact.

A compaction takes a second of CPU time or two, which requests would have to wait for.
"""
TABLES_SLOW = 40
TABLES_STOP = 72
"""Tables not yet compacted at which RocksDB slows down writes, and stops them: twice its defaults.
Where other programs leave no processor idle for long, compaction falls behind; it catches up once
one is, and until then a read asks the filters of more tables.
"""
MARK_EVERY = 1.0
"""Seconds from a flush to the mark that covers it (see `ddb.node.mark`), at most."""


class RocksStore:
    """A `Store` in a directory of its own."""

    def __init__(self, path: Path, fsync: Fsync) -> None:
        """Open or create. Raises `StoreRefused`, with a sentence for the operator."""
        self.path = path
        self._fsync = fsync is Fsync.ALWAYS
        self._rocks = path / "rocks"
        self._lock = _lock(path)
        self._marking: asyncio.TimerHandle | None = None
        try:
            self._db = _open_marked(path, self._rocks)
        except StoreRefused:
            os.close(self._lock)
            raise
        in_background(COMPACTION)
        self._families: dict[Family, Rdict] = {
            family: self._db.get_column_family(family.value) for family in Family
        }
        self._handles: dict[Family, ColumnFamily] = {
            family: self._db.get_column_family_handle(family.value) for family in Family
        }
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
            # rocksdict raises bare Exception for whatever RocksDB reports.
            raise self._fail(f"{self.path} is damaged: {error}") from error
        return value

    def commit(self, puts: Sequence[Put]) -> asyncio.Future[None]:
        """As `Store.commit`."""
        if self._fsync and self._marking is None:
            # Without fsync nothing is known to be durable until the store is closed.
            self._marking = asyncio.get_running_loop().call_later(MARK_EVERY, self._mark)
        return self._group.commit(puts)

    def _write(self, fresh: Fresh) -> None:
        batch = WriteBatch(raw_mode=True)
        for family, puts in fresh.items():
            handle = self._handles[family]
            for key, value in puts.items():
                if value is None:
                    batch.delete(key, handle)
                else:
                    batch.put(key, value, handle)
        try:
            self._db.write(batch)
        except Exception as error:
            # rocksdict raises bare Exception for whatever RocksDB reports.
            raise StoreFailed(str(error)) from error

    def when_broken(self, tell: Callable[[StoreFailed], None]) -> None:
        """Call `tell` once the disk refuses a write."""
        self._on_failure = tell

    def observe(self, observer: FlushObserver) -> None:
        """Report every flush from now on to `observer`."""
        self._group.observer = observer

    def _flush_log(self) -> None:
        self._db.flush_wal(True)

    def _mark(self) -> None:
        self._marking = None
        self._group.flusher.run(self._write_mark, self._marked)

    def _marked(self, error: Exception | None) -> None:
        if isinstance(error, OSError):
            # The directory could not be listed, for want of a descriptor, say. Nothing was lost.
            log.warning("the mark of %s stays behind: %s", self.path, error)
        elif error is not None:
            self._group.fail(StoreFailed(str(error)))

    def _write_mark(self) -> None:
        if self._broken is not None:
            # Nobody knows what of the store is durable.
            return
        found = mark.measure(self._rocks, self._db.latest_sequence_number())
        self._db.flush_wal(True)
        mark.write(self.path, found)

    def _fail(self, reason: str) -> StoreFailed:
        if exhausted(reason):
            return NoDescriptors(f"no file descriptor is left to read {self.path}")
        failure = StoreFailed(reason)
        self._group.fail(failure)
        return failure

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
        rows: list[tuple[bytes, bytes]] = []
        cursor = self._families[family].iter()
        cursor.seek(start)
        while len(rows) < limit:
            key = cursor.key()
            if key is None or key >= stop:
                break
            rows.append((key, cursor.value()))
            cursor.next()
        if not cursor.valid():
            try:
                # At damage a cursor becomes invalid, just as it does at the end.
                cursor.status()
            except Exception as error:
                # rocksdict raises bare Exception for whatever RocksDB reports.
                raise self._fail(f"{self.path} is damaged: {error}") from error
        return rows

    def disk_bytes(self) -> int:
        """As `Store.disk_bytes`."""
        total = 0
        for entry in os.scandir(self._rocks):
            try:
                total += entry.stat().st_blocks * 512
            except FileNotFoundError:
                # Compaction removed it meanwhile.
                continue
        return total

    def close(self) -> None:
        """As `Store.close`."""
        if self._marking is not None:
            self._marking.cancel()
        self._group.close()
        last = [] if self._broken is not None else [self._write_mark]
        self._handles.clear()
        for work in (*last, *(each.close for each in self._families.values()), self._db.close):
            try:
                work()
            except Exception as error:  # noqa: BLE001
                # rocksdict raises bare Exception for whatever RocksDB reports. Nobody was told
                # that what it could not flush is durable.
                log.warning("closing %s: %s", self.path, error)
        os.close(self._lock)

    def __repr__(self) -> str:
        return f"<RocksStore {self.path} {self._broken or 'healthy'}>"


def _lock(path: Path) -> int:
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreRefused(f"{path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StoreRefused(f"{path} is in use by another running node") from error
    return lock


def _open_marked(path: Path, rocks: Path) -> Rdict:
    known = mark.read(path)
    mark.check_files(path, rocks, known)
    try:
        database = _open(rocks)
    except Exception as error:
        # rocksdict raises bare Exception for whatever RocksDB reports.
        raise StoreRefused(
            f"{path} cannot be opened: {_line(error)}. It may be damaged: move it away and"
            " start this node with an empty directory, and it is refilled from the others"
        ) from error
    sequence = database.latest_sequence_number()
    if known is not None and sequence < known.sequence:
        database.close()
        raise mark.lost(path, f"it ends at write {sequence} of at least {known.sequence}")
    # What was recovered from logs has just been written to tables, durably.
    mark.write(path, mark.measure(rocks, sequence, (mark.MANIFESTS,)))
    return database


def _open(path: Path) -> Rdict:
    cache = Cache(BLOCK_CACHE)
    options, _ = Options.load_latest(str(_BEYOND_SETTERS))
    _set(options, cache)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    # A torn tail is what a crash leaves; damage before the tail must not pass for one, as it
    # would with point-in-time recovery, which drops whatever follows it.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_max_total_wal_size(MOST_LOG)
    options.set_keep_log_file_num(2)
    options.set_max_background_jobs(2)
    options.set_max_open_files(tables_in(limit_in_force()))
    families = {family.value: Options(raw_mode=True) for family in Family}
    for each in families.values():
        _set(each, cache)
    return Rdict(str(path), options, column_families=families)


def _set(options: Options, cache: Cache) -> None:
    # At every level: a small store may never reach the last one.
    options.set_compression_type(DBCompressionType.zstd())
    options.set_compression_options(ZSTD_WINDOW, ZSTD_LEVEL, 0, DICTIONARY)
    options.set_write_buffer_size(WRITE_BUFFER)
    options.set_max_write_buffer_number(2)
    options.set_memtable_prefix_bloom_ratio(MEMORY_FILTER)
    options.set_memtable_whole_key_filtering(True)
    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_level_zero_slowdown_writes_trigger(TABLES_SLOW)
    options.set_level_zero_stop_writes_trigger(TABLES_STOP)
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(10, False)
    table.set_block_size(BLOCK)
    options.set_block_based_table_factory(table)


def _line(error: Exception) -> str:
    """What RocksDB says, on one line."""
    return " ".join(str(error).split())
