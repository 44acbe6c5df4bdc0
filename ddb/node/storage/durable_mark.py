"""The durable mark: a file that records the durable part of a store.

RocksDB cannot distinguish a truncated log from one that a crash left unfinished. The same is true
of a manifest. RocksDB opens either without an error, and without the missing writes. The mark
reveals the loss. It contains the durable size of each file, and the number of the last durable
write.

The store writes the mark after a flush, about once a second. So the mark may be behind the store,
and is never ahead of it.
"""

import logging
from pathlib import Path

import msgspec

from ddb.node.storage.store import StoreRefused
from ddb.runtime.atomic_file import replace_file

log = logging.getLogger(__name__)

MANIFESTS = "MANIFEST-*"
GROWING = ("*.log", MANIFESTS)
"""Patterns of the files that RocksDB only appends to. Their size never falls."""
NOT_UPDATED = (
    "cannot update the durable mark of %s: %s. No data is affected, and the store tries again after"
    " later writes. Check the free disk space and the limit of file descriptors"
)
"""A log message. Its arguments are a directory and an error."""
_NAME = "mark.json"
_REMEDY = (
    "The store is damaged: move it away and start this node with an empty directory, and it is"
    " refilled from the others"
)


class DurableMark(msgspec.Struct, frozen=True):
    """The durable part of a store."""

    sequence: int
    """RocksDB's number of the last durable write."""
    files: dict[str, int]
    """Durable bytes of each log and manifest, by name."""


def measure(rocks: Path, sequence: int, patterns: tuple[str, ...] = GROWING) -> DurableMark:
    """Measure the files for the mark after the next flush.

    Args:
        rocks: the directory of RocksDB.
        sequence: RocksDB's number of the last write.
        patterns: the files to measure.
    """
    sizes = {}
    for pattern in patterns:
        for path in rocks.glob(pattern):
            try:
                sizes[path.name] = path.stat().st_size
            except FileNotFoundError:
                # RocksDB removed the file after `glob` listed it.
                continue
    return DurableMark(sequence, sizes)


def read(directory: Path) -> DurableMark | None:
    """Return the mark of a store, or None if the store has no mark yet.

    Raises:
        StoreRefused: the mark exists and is unreadable.
    """
    try:
        return msgspec.json.decode((directory / _NAME).read_bytes(), type=DurableMark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreRefused(f"{directory / _NAME} cannot be read: {error}. {_REMEDY}") from error


def write(directory: Path, mark: DurableMark) -> None:
    """Replace the mark durably.

    If that fails, as on a full disk, the old mark stays and is still correct.
    """
    try:
        replace_file(directory / _NAME, msgspec.json.encode(mark))
    except OSError as error:
        log.warning(NOT_UPDATED, directory, error)


def check_files(directory: Path, rocks: Path, mark: DurableMark | None) -> None:
    """Compare the files with the mark, before RocksDB opens the store.

    Raises:
        StoreRefused: a file is shorter than the mark records, or CURRENT is missing.
    """
    if not (rocks / "CURRENT").exists() and (mark or _holds_data(rocks)):
        # RocksDB would create an empty store here, and remove the tables of the old one.
        raise lost(directory, "CURRENT is missing")
    for name, size in mark.files.items() if mark else ():
        try:
            size_now = (rocks / name).stat().st_size
        except FileNotFoundError:
            # RocksDB removed the file in normal work, or the file is lost. RocksDB reports such a
            # loss when it opens the store, or `sequence` shows it.
            continue
        if size_now < size:
            raise lost(directory, f"{name} has {size_now} bytes left of {size}")


def _holds_data(rocks: Path) -> bool:
    return any(any(rocks.glob(pattern)) for pattern in ("*.log", "*.sst"))


def lost(directory: Path, how: str) -> StoreRefused:
    """Return the error for a store that contains less than its mark records."""
    return StoreRefused(f"{directory} has lost writes that were on disk: {how}. {_REMEDY}")
