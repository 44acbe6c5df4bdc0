"""The mark: what a store is known to have made durable, in a file beside it.

A log or a manifest that was cut short looks like one that a crash left unfinished, and RocksDB
opens it without a word, as if the rest had never been written. The mark tells the two apart. It
is written after a flush, now and then, so it may lag behind the store but never runs ahead of it.
"""

import logging
from pathlib import Path

import msgspec

from ddb.node.storage.store import StoreRefused
from ddb.runtime.atomic_file import replace_file

log = logging.getLogger(__name__)

MANIFESTS = "MANIFEST-*"
GROWING = ("*.log", MANIFESTS)
_NAME = "mark.json"
_REMEDY = (
    "The store is damaged: move it away and start this node with an empty directory, and it is"
    " refilled from the others"
)


class DurableMark(msgspec.Struct, frozen=True):
    """`sequence`: RocksDB's number of the last durable write.

    `files`: the durable bytes of each file that only grows, by name: logs and manifests.
    """

    sequence: int
    files: dict[str, int]


def measure(rocks: Path, sequence: int, patterns: tuple[str, ...] = GROWING) -> DurableMark:
    """The mark to write once everything written so far has been flushed."""
    sizes = {}
    for pattern in patterns:
        for path in rocks.glob(pattern):
            try:
                sizes[path.name] = path.stat().st_size
            except FileNotFoundError:
                # RocksDB is done with it since the directory was listed.
                continue
    return DurableMark(sequence, sizes)


def read(directory: Path) -> DurableMark | None:
    """The mark of a store, None where there is none yet. Raises `StoreRefused`."""
    try:
        return msgspec.json.decode((directory / _NAME).read_bytes(), type=DurableMark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreRefused(f"{directory / _NAME} cannot be read: {error}. {_REMEDY}") from error


def write(directory: Path, mark: DurableMark) -> None:
    """Replace the mark durably; on a full disk the old one stays, and is as true as it was."""
    try:
        replace_file(directory / _NAME, msgspec.json.encode(mark))
    except OSError as error:
        log.warning("the mark of %s stays behind: %s", directory, error)


def check_files(directory: Path, rocks: Path, mark: DurableMark | None) -> None:
    """Raises `StoreRefused` where a file is shorter than it was; to be asked before opening."""
    if not (rocks / "CURRENT").exists() and (mark or _holds_data(rocks)):
        # RocksDB would begin a new store in its place, and remove the tables of the old one.
        raise lost(directory, "CURRENT is missing")
    for name, size in mark.files.items() if mark else ():
        try:
            found = (rocks / name).stat().st_size
        except FileNotFoundError:
            # RocksDB was done with it, or else it misses the file itself, or writes are missing.
            continue
        if found < size:
            raise lost(directory, f"{name} has {found} bytes left of {size}")


def _holds_data(rocks: Path) -> bool:
    return any(any(rocks.glob(pattern)) for pattern in ("*.log", "*.sst"))


def lost(directory: Path, how: str) -> StoreRefused:
    """What to tell the operator of a store that holds less than its mark says."""
    return StoreRefused(f"{directory} has lost writes that were on disk: {how}. {_REMEDY}")
