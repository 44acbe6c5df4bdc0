"""A log file with a bound: at a size it is renamed, and the oldest of a few is removed.

The process that writes the file also renames it. A supervisor that read its children's output from
pipes would stop them as soon as it is paused itself, and would lose their last lines with its own
end. Standard output and error point to the file, so that what the interpreter or a library writes
in a crash is there as well; after a rename they point to the new file.
"""

import os
from itertools import pairwise
from pathlib import Path

LOG_FILE_BYTES = 10_000_000
"""Bytes of one file.

Too low: a restart loop soon removes the lines about its beginning. Too high: logs take the room of
the data.
"""
LOG_FILES = 3
"""Files of one process, the present one among them."""

_STREAMS = (1, 2)
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class LogFile:
    """The file at `path`, to which this process's standard output and error are sent."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file cannot be written."""
        self._path = path
        _redirect(os.open(path, _APPEND, 0o644))

    def make_room(self, size: int) -> None:
        """Begin a new file if `size` more bytes exceed the bound.

        Where the system refuses that, the present file goes on: no line is lost for the bound.
        """
        if os.fstat(_STREAMS[-1]).st_size + size <= LOG_FILE_BYTES:
            return
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            # Before anything is renamed: a process without descriptors or disk space fails here.
            descriptor = os.open(fresh, _APPEND | os.O_TRUNC, 0o644)
        except OSError:
            return
        try:
            shift(self._path)
            fresh.replace(self._path)
        except OSError:
            os.close(descriptor)
            return
        _redirect(descriptor)

    def __repr__(self) -> str:
        return f"<LogFile {self._path} {os.fstat(_STREAMS[-1]).st_size} bytes>"


def shift(path: Path) -> None:
    """Rename `x.log` to `x.log.1`, that to `x.log.2`; the oldest is lost. Raises OSError."""
    names = [path, *(path.with_name(f"{path.name}.{age}") for age in range(1, LOG_FILES))]
    for younger, older in reversed(list(pairwise(names))):
        if younger.exists():
            younger.replace(older)


def _redirect(descriptor: int) -> None:
    for stream in _STREAMS:
        os.dup2(descriptor, stream)
    os.close(descriptor)
