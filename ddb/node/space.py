"""Room on the disk: what a node still takes while its disk fills up.

A write that fails for want of space leaves nobody knowing what the disk holds, and the node can
then only stop. So it declines to begin writes well before, and goes on answering reads. What it
declines it has not done at all, which is what its client is told.
"""

import os
from enum import IntEnum
from pathlib import Path

from ddb.wire.ports import Clock

EVERY = 0.1
"""Seconds between looks at the disk."""
RESERVE = 128 * 1024 * 1024
LAST = 64 * 1024 * 1024
"""As much as the log may hold: a restart writes all of that once more, as tables."""


class Room(IntEnum):
    """How much is left, best first."""

    AMPLE = 0
    SCARCE = 1
    """Deletes go on, and so does what makes copies agree; clients' other changes are declined."""
    NONE = 2
    """Nothing is begun that writes: the rest is for the store to put its log in order."""


class Space:
    """The file system that a directory is on."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._next = clock.now()
        self._free = 0

    @property
    def free(self) -> int:
        """Bytes that this process may still write."""
        now = self._clock.now()
        if now >= self._next:
            self._next = now + EVERY
            self._free = free_bytes(self._path)
        return self._free

    def room(self) -> Room:
        """What that amounts to."""
        free = self.free
        return Room.AMPLE if free >= RESERVE else Room.SCARCE if free >= LAST else Room.NONE

    def __repr__(self) -> str:
        return f"<Space {self._path} {self.room().name}, {self._free} bytes>"


def free_bytes(path: Path) -> int:
    """Bytes that this process may still write on the file system of `path`."""
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def needed_to_open(path: Path) -> int:
    """Bytes that the store in `path` may take to open: its log over again, and its own notes."""
    notes = 8 * 1024 * 1024
    return notes + sum(log.stat().st_size for log in path.glob("rocks/*.log"))
