"""The durable mark: a file next to the store that records what the store has made durable.

A truncated log looks like one that a crash left unfinished, and so does a truncated manifest.
RocksDB opens either without complaint, as if the missing part had never been written. The mark
tells the two apart. The store writes it after a flush, about once a second. So the mark may be
behind the store, and is never ahead of it.
"""

import logging
from pathlib import Path

import msgspec

from ddb.node.storage.store import StoreRefused
from ddb.runtime.atomic_file import replace_file

log = logging.getLogger(__name__)

MANIFESTS = "MANIFEST-*"
GROWING = ("*.log", MANIFESTS)
"""Patterns of the files that RocksDB only appends to."""
NOT_UPDATED = (
    "cannot update the durable mark of %s: %s. No data is affected, and the store tries again after"
    " later writes. Check the free disk space and the limit of file descriptors"
)
"""A log message for a directory and an error."""
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
    """Return the mark to write after the next flush."""
    sizes = {}
    for pattern in patterns:
        for path in rocks.glob(pattern):
            try:
                sizes[path.name] = path.stat().st_size
            except FileNotFoundError:
                # RocksDB removed it after the directory was listed.
                continue
    return DurableMark(sequence, sizes)


def read(directory: Path) -> DurableMark | None:
    """Return the mark of a store, None where there is none yet. Raises `StoreRefused`."""
    try:
        return msgspec.json.decode((directory / _NAME).read_bytes(), type=DurableMark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreRefused(f"{directory / _NAME} cannot be read: {error}. {_REMEDY}") from error


def write(directory: Path, mark: DurableMark) -> None:
    """Replace the mark durably; on a full disk the old one stays, and is still correct."""
    try:
        replace_file(directory / _NAME, msgspec.json.encode(mark))
    except OSError as error:
        log.warning(NOT_UPDATED, directory, error)


def check_files(directory: Path, rocks: Path, mark: DurableMark | None) -> None:
    """Compare the files with the mark before the store is opened.

    Raises:
        StoreRefused: a file is shorter than the mark records, or CURRENT is missing.
    """
    if not (rocks / "CURRENT").exists() and (mark or _holds_data(rocks)):
        # RocksDB would create a new store in its place, and remove the tables of the old one.
        raise lost(directory, "CURRENT is missing")
    for name, size in mark.files.items() if mark else ():
        try:
            size_now = (rocks / name).stat().st_size
        except FileNotFoundError:
            # RocksDB removed it, or reports the loss itself, or `sequence` shows the loss.
            continue
        if size_now < size:
            raise lost(directory, f"{name} has {size_now} bytes left of {size}")


def _holds_data(rocks: Path) -> bool:
    return any(any(rocks.glob(pattern)) for pattern in ("*.log", "*.sst"))


def lost(directory: Path, how: str) -> StoreRefused:
    """Return the error of a store that contains less than its mark records."""
    return StoreRefused(f"{directory} has lost writes that were on disk: {how}. {_REMEDY}")
