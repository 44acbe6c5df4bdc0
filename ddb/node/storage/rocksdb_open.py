"""Opening RocksDB: options, column families, and checks that no durable data is missing."""

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
"""The META key of the column family of each family, once one was rewritten."""
GENERATION = "."
"""The separator between a family's name and the number of its rewrite."""
KEPT_LOGS = 3
"""RocksDB's own activity logs to keep: each start writes two.

Too low: the log of a failure is deleted. Too high: they fill the disk.
"""
_DEFAULT = "default"
_TABLE = ".sst"
"""The suffix of a table's name; RocksDB's message names a damaged table."""
BLOCK_CACHE_BYTES = 128 * 1024 * 1024
"""Bytes of decompressed blocks in memory.

Too low: reads decompress blocks again. Too high: nodes on one machine exhaust its memory.
"""
WRITE_BUFFER_BYTES = 16 * 1024 * 1024
"""Bytes of a family's write buffer.

Too low: the store has many small tables. Too high: memory; a family has two buffers.
"""
MAX_LOG_BYTES = 16 * 1024 * 1024
"""Bytes of log after which RocksDB writes its content to tables.

Too low: compactions rewrite a small store too often; each follows four such tables. Too high: a
small store lies mostly in the log, where records are not compressed.
"""
MEMTABLE_FILTER_RATIO = 0.1
"""Share of a write buffer for its filter.

With 100,000 users the filter saves 5 % of a GET's CPU time: most records are not in the buffer. Too
low: reads search the buffer in vain. Too high: the buffer has room for fewer records.
"""
BLOCK_BYTES = 8 * 1024
"""Bytes of a block before compression.

Too low: blocks compress badly. Too high: a read decompresses more than it needs.
"""
DICTIONARY_BYTES = 16 * 1024
"""Bytes of a table's compression dictionary, which saves 5 % of the disk and lets blocks be small.

The dictionary has raw samples. A trained one saved another 2.5 %, but made writing a table cost
three times as much. Too low: small blocks compress badly. Too high: each table grows by it.
"""
ZSTD_LEVEL = 1
"""The zstd level. RocksDB's default costs 20 % more CPU time and saves 2 % of the disk."""
ZSTD_WINDOW = -14
"""RocksDB's own default; the setter of the level requires it."""
_BEYOND_SETTERS = Path(__file__).with_name("options")
"""A directory of options for which rocksdict has no setters; it loads them like a store's."""
SLOWDOWN_TABLES = 40
"""Uncompacted tables at which RocksDB slows down writes: twice its default.

Other programs may leave no processor idle for long, and compaction then falls behind. It catches up
once a processor is idle. Too low: writes are slow meanwhile. Too high: each read asks the filters
of many tables.
"""
STOP_TABLES = 72
"""Uncompacted tables at which RocksDB stops writes: twice its default; see `SLOWDOWN_TABLES`."""


def lock(path: Path) -> int:
    """Create a data directory if it is missing, and lock it. Raises `StoreRefused`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreRefused(f"{path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreRefused(f"{path} is in use by another running node") from error
    return descriptor


def open_marked(path: Path, rocks: Path) -> tuple[Rdict, dict[Family, str], mark.DurableMark]:
    """Open or create the store; return it, the column family of each family, and the mark.

    Raises:
        StoreRefused: durable data is missing or the store is damaged.
    """
    recorded = mark.read(path)
    mark.check_files(path, rocks, recorded)
    try:
        _check(path, rocks)
        names = _existing(rocks)
        database = _open(rocks, names, strict=False)
        current = _current(database)
        for name in names:
            if name not in current.values():
                # A crash has interrupted a rewrite, or the removal of its old files.
                database.drop_column_family(name)
    except StoreRefused:
        raise
    except Exception as error:
        # rocksdict raises bare Exception for all that RocksDB reports.
        raise _refusal(path, error) from error
    sequence = database.latest_sequence_number()
    if recorded is not None and sequence < recorded.sequence:
        database.close()
        raise mark.lost(path, f"it ends at write {sequence} of at least {recorded.sequence}")
    # RocksDB has just written the content of the logs to durable tables.
    durable = mark.measure(rocks, sequence, (mark.MANIFESTS,))
    mark.write(path, durable)
    return database, current, durable


def _check(path: Path, rocks: Path) -> None:
    """Make RocksDB check everything but the tables' blocks. Raises `StoreRefused`.

    RocksDB's strict mode is right for logs and manifest. But it refuses a store for one damaged
    table. It also refuses all writes once a compaction meets a damaged block. So the node opens the
    store strictly, which empties its logs, and then again without. This costs about 40 ms.
    """
    try:
        _open(rocks, _existing(rocks), strict=True).close()
    except Exception as error:
        # rocksdict raises bare Exception for all that RocksDB reports.
        if _TABLE not in str(error):
            raise _refusal(path, error) from error
        damaged = damaged_log(rocks)
        if damaged is not None:
            raise mark.lost(path, damaged) from error
        log.error(
            "%s has a damaged table: %s. The node serves the records that it can read, and rebuilds"
            " the others from its peers. No action is needed, but the disk may fail: check it",
            path,
            _line(error),
        )


def _existing(rocks: Path) -> list[str]:
    """Return the column families on disk, and one for each family that has none."""
    on_disk = Rdict.list_cf(str(rocks)) if (rocks / "CURRENT").exists() else []
    names = [name for name in on_disk if name != _DEFAULT]
    families = {name.partition(GENERATION)[0] for name in names}
    return [*names, *(each.value for each in Family if each.value not in families)]


def _current(database: Rdict) -> dict[Family, str]:
    stored = database.get_column_family(Family.META.value).get(FAMILIES)
    changed = msgspec.json.decode(stored, type=dict[str, str]) if stored else {}
    return {family: changed.get(family.value, family.value) for family in Family}


def _refusal(path: Path, error: Exception) -> StoreRefused:
    return StoreRefused(
        f"{path} cannot be opened: {_line(error)}. It may be damaged: move it away and"
        " start this node with an empty directory, and it is refilled from the others"
    )


def _open(path: Path, names: Sequence[str], *, strict: bool) -> Rdict:
    """Open the column families `names`.

    Args:
        strict: True enables RocksDB's own checks and disables compaction, for a check that closes
            the store at once. False is for use.
    """
    cache = Cache(BLOCK_CACHE_BYTES)
    options, _ = Options.load_latest(str(_BEYOND_SETTERS))
    _set(options, cache)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    # A crash leaves a torn tail, which is fine. Damage before the tail must not pass for one.
    # Point-in-time recovery would let it, and drop all records behind the damage.
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
    """Return the options of a column family that is created while the store is open."""
    options = Options(raw_mode=True)
    _set(options, Cache(BLOCK_CACHE_BYTES))
    return options


def _set(options: Options, cache: Cache) -> None:
    # Compress at every level: a small store may never reach the last one.
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
    """Return RocksDB's message on one line."""
    return " ".join(str(error).split())
