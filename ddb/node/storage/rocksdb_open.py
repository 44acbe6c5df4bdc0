"""Opening RocksDB: its options, its families, and checks that nothing durable is missing."""

import fcntl
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
)

from ddb.node.storage import durable_mark as mark
from ddb.node.storage.log_check import damaged_log
from ddb.node.storage.store import Family, StoreRefused
from ddb.runtime.descriptors import limit_in_force, tables_in

log = logging.getLogger(__name__)

FAMILIES = b"families"
"""In META: which column family holds each family whose first one was rewritten."""
GENERATION = "."
"""Between a family's name and the number of its rewrite."""
KEPT_LOGS = 3
"""Logs of what RocksDB did that are kept: each start writes two."""
_DEFAULT = "default"
_TABLE = ".sst"
"""What the name of a table ends with; RocksDB names a damaged one."""
BLOCK_CACHE_BYTES = 128 * 1024 * 1024
WRITE_BUFFER_BYTES = 16 * 1024 * 1024
MAX_LOG_BYTES = 16 * 1024 * 1024
"""Records lie in the log uncompressed, and a store is small: most of it must be in tables. But a
compaction rewrites a small store as a whole, after so many times four of what was written."""
MEMTABLE_FILTER_RATIO = 0.1
"""Part of a write buffer for a filter: most reads are of records not written lately, and need not
search the buffer for them. With 100,000 users a twentieth of a GET's CPU time."""
BLOCK_BYTES = 8 * 1024
DICTIONARY_BYTES = 16 * 1024
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
SLOWDOWN_TABLES = 40
STOP_TABLES = 72
"""Tables not yet compacted at which RocksDB slows down writes, and stops them: twice its defaults.
Where other programs leave no processor idle for long, compaction falls behind; it catches up once
one is, and until then a read asks the filters of more tables.
"""


def lock(path: Path) -> int:
    """Take a data directory, which is made if need be. Raises `StoreRefused`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        taken = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreRefused(f"{path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(taken)
        raise StoreRefused(f"{path} is in use by another running node") from error
    return taken


def open_marked(path: Path, rocks: Path) -> tuple[Rdict, dict[Family, str]]:
    """Open or create, and name the column family of each family. Raises `StoreRefused`."""
    known = mark.read(path)
    mark.check_files(path, rocks, known)
    try:
        _check(path, rocks)
        names = _existing(rocks)
        database = _open(rocks, names, strict=False)
        current = _current(database)
        for name in names:
            if name not in current.values():
                # Of a rewrite that a crash cut short, or whose old files it left.
                database.drop_column_family(name)
    except StoreRefused:
        raise
    except Exception as error:
        # rocksdict raises bare Exception for whatever RocksDB reports.
        raise _refusal(path, error) from error
    sequence = database.latest_sequence_number()
    if known is not None and sequence < known.sequence:
        database.close()
        raise mark.lost(path, f"it ends at write {sequence} of at least {known.sequence}")
    # What was recovered from logs has just been written to tables, durably.
    mark.write(path, mark.measure(rocks, sequence, (mark.MANIFESTS,)))
    return database, current


def _check(path: Path, rocks: Path) -> None:
    """Have RocksDB check everything but the tables' blocks. Raises `StoreRefused`.

    Its strict mode is right for logs and manifest, of which nothing may be missing. But it refuses
    a store for one damaged table, and all writes once a compaction meets a damaged block. So the
    store is opened strictly, which empties its logs, and again without. Costs some 40 ms.
    """
    try:
        _open(rocks, _existing(rocks), strict=True).close()
    except Exception as error:
        # rocksdict raises bare Exception for whatever RocksDB reports.
        if _TABLE not in str(error):
            raise _refusal(path, error) from error
        damaged = damaged_log(rocks)
        if damaged is not None:
            raise mark.lost(path, damaged) from error
        log.error(
            "%s has a damaged table: %s. The node serves what it can read, and rebuilds the rest"
            " from the others. Nothing needs to be done, but the disk may be failing",
            path,
            _line(error),
        )


def _existing(rocks: Path) -> list[str]:
    """The column families to open: those there are, and the first one of each other family."""
    found = Rdict.list_cf(str(rocks)) if (rocks / "CURRENT").exists() else []
    names = [name for name in found if name != _DEFAULT]
    families = {name.partition(GENERATION)[0] for name in names}
    return [*names, *(each.value for each in Family if each.value not in families)]


def _current(database: Rdict) -> dict[Family, str]:
    found = database.get_column_family(Family.META.value).get(FAMILIES)
    changed = msgspec.json.decode(found, type=dict[str, str]) if found else {}
    return {family: changed.get(family.value, family.value) for family in Family}


def _refusal(path: Path, error: Exception) -> StoreRefused:
    return StoreRefused(
        f"{path} cannot be opened: {_line(error)}. It may be damaged: move it away and"
        " start this node with an empty directory, and it is refilled from the others"
    )


def _open(path: Path, names: Sequence[str], *, strict: bool) -> Rdict:
    """`strict`: with RocksDB's own checks, and no compaction; for a moment only."""
    cache = Cache(BLOCK_CACHE_BYTES)
    options, _ = Options.load_latest(str(_BEYOND_SETTERS))
    _set(options, cache)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    # A torn tail is what a crash leaves; damage before the tail must not pass for one, as it
    # would with point-in-time recovery, which drops whatever follows it.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_max_total_wal_size(MAX_LOG_BYTES)
    options.set_keep_log_file_num(KEPT_LOGS)
    options.set_max_background_jobs(2)
    options.set_max_open_files(tables_in(limit_in_force()))
    options.set_paranoid_checks(strict)
    families = {name: Options(raw_mode=True) for name in names}
    for each in families.values():
        _set(each, cache)
        each.set_disable_auto_compactions(strict)
    return Rdict(str(path), options, column_families=families)


def family_options() -> Options:
    """The options of a column family that is made while the store is open."""
    options = Options(raw_mode=True)
    _set(options, Cache(BLOCK_CACHE_BYTES))
    return options


def _set(options: Options, cache: Cache) -> None:
    # At every level: a small store may never reach the last one.
    options.set_compression_type(DBCompressionType.zstd())
    options.set_compression_options(ZSTD_WINDOW, ZSTD_LEVEL, 0, DICTIONARY_BYTES)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER_RATIO)
    options.set_memtable_whole_key_filtering(True)
    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_level_zero_slowdown_writes_trigger(SLOWDOWN_TABLES)
    options.set_level_zero_stop_writes_trigger(STOP_TABLES)
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(10, False)
    table.set_block_size(BLOCK_BYTES)
    options.set_block_based_table_factory(table)


def _line(error: Exception) -> str:
    """What RocksDB says, on one line."""
    return " ".join(str(error).split())
