"""Log files of bounded size and number.

The process that writes the file also renames it. Pipes to a supervisor would be worse. A paused
supervisor would stop its children, and its end would lose their last lines. Standard output and
error point to the file, so it also has the last output of a crash. After a rename they point to
the new file.
"""

import os
from itertools import pairwise
from pathlib import Path

LOG_FILE_BYTES = 10_000_000
"""Bytes of one file.

Too low: a restart loop soon removes the lines about its cause. Too high: logs take the space of
the data.
"""
LOG_FILES = 3
"""Files of one process. Lower: old lines are lost. Higher: logs take the space of the data."""

_STREAMS = (1, 2)
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class LogFile:
    """The log file of this process, as its standard output and error."""

    def __init__(self, path: Path) -> None:
        """Redirect both streams to `path`. Raises `OSError` if it is not writable."""
        self._path = path
        _redirect(os.open(path, _APPEND, 0o644))

    def make_room(self, size: int) -> None:
        """Begin a new file if `size` more bytes exceed the bound.

        If the system refuses, the present file grows on: a line matters more than the bound.
        """
        if os.fstat(_STREAMS[-1]).st_size + size <= LOG_FILE_BYTES:
            return
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            # Before any rename, a process without descriptors or disk space fails here.
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
    """Rename `x.log` to `x.log.1`, and that to `x.log.2`. Raises `OSError`.

    The oldest file is overwritten.
    """
    names = [path, *(path.with_name(f"{path.name}.{age}") for age in range(1, LOG_FILES))]
    for younger, older in reversed(list(pairwise(names))):
        if younger.exists():
            younger.replace(older)


def _redirect(descriptor: int) -> None:
    for stream in _STREAMS:
        os.dup2(descriptor, stream)
    os.close(descriptor)
