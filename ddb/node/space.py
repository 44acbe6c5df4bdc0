"""Room on the disk: what a node still takes while its disk fills up.

A write that fails for want of space leaves nobody knowing what the disk holds, and the node can
then only stop. So it declines to begin writes well before, and goes on answering reads. What it
declines it has not done at all, which is what its client is told.
"""

import os
from enum import IntEnum
from pathlib import Path

from ddb.record.change import Kind
from ddb.wire.messages import Accept, Do, Hand, Propose, Request
from ddb.wire.ports import Clock

WRITING = frozenset({Do, Propose, Accept, Hand})
"""What may be declined while a disk fills up."""

EVERY = 0.1
"""Seconds between looks at the disk."""
RESERVE = 128 * 1024 * 1024
LAST = 64 * 1024 * 1024
"""Well above what the log may hold, all of which a restart writes once more, as tables."""


class Room(IntEnum):
    """How much is left, best first."""

    AMPLE = 0
    SCARCE = 1
    """Deletes go on, and so does what makes copies agree; clients' other changes are declined."""
    NONE = 2
    """Nothing is begun that writes: the rest is for the store to put its log in order."""

    @classmethod
    def of(cls, free: int) -> "Room":
        """What so many free bytes amount to."""
        return cls.AMPLE if free >= RESERVE else cls.SCARCE if free >= LAST else cls.NONE


class Space:
    """The file system that a directory is on."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._next = clock.now()
        self._room = Room.NONE

    def room(self) -> Room:
        """What is left, as of a moment ago."""
        now = self._clock.now()
        if now >= self._next:
            self._next = now + EVERY
            self._room = Room.of(free_bytes(self._path))
        return self._room

    def __repr__(self) -> str:
        return f"<Space {self._path} {self._room.name}>"


def takes(request: Request, room: Room) -> bool:
    """Whether a request is begun with so much room."""
    if room is Room.AMPLE or type(request) not in WRITING:
        return True
    # A delete is how a client makes room.
    adds = isinstance(request, Do) and request.kind is not Kind.DELETE
    return room is Room.SCARCE and not adds


def free_bytes(path: Path) -> int:
    """Bytes that this process may still write on the file system of `path`."""
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def needed_to_open(path: Path) -> int:
    """Bytes that the store in `path` may take to open: its log over again, and its own notes."""
    notes = 8 * 1024 * 1024
    return notes + sum(log.stat().st_size for log in path.glob("rocks/*.log"))
