"""Room on the disk: what a node still takes while its disk fills up.

A write that fails for want of space leaves nobody knowing what the disk holds, and the node can
then only stop. So it declines to begin writes well before, and goes on answering reads. What it
declines it has not done at all, which is what its client is told.
"""

import os
from dataclasses import dataclass
from enum import Enum, IntEnum
from pathlib import Path
from typing import Protocol

from ddb.record.change import Kind
from ddb.wire.messages import REQUESTS, CoordinateChange, Request
from ddb.wire.ports import Clock

WRITING = frozenset(kind for kind in REQUESTS if kind.writes_disk)
"""The requests that a node declines while its disk is nearly full."""

MEASURE_INTERVAL_S = 0.1
"""Seconds between looks at the disk."""
SCARCE_BELOW_BYTES = 128 * 1024 * 1024
NONE_BELOW_BYTES = 64 * 1024 * 1024
"""Well above what the log may hold, all of which a restart writes once more, as tables."""
RESERVE_INODES = 128
LAST_INODES = 64
"""Too low: the store cannot create the files in which it puts its log in order, and the node ends.
Too high: a small file system declines writes that it has room for. Nodes that share a file system
share this reserve; each creates a dozen files at most.
"""
OPEN_INODES = 32
"""Files that a store may create as it opens: tables from its log, a new log and its own notes.

Too low: the node ends as it starts. Too high: it waits although it could start.
"""


class Resource(Enum):
    """A supply of a file system that may run low."""

    BYTES = "bytes"
    INODES = "inodes"


class Room(IntEnum):
    """How much is left, best first."""

    AMPLE = 0
    SCARCE = 1
    """Deletes go on, and so does what makes copies agree; clients' other changes are declined."""
    NONE = 2
    """Nothing is begun that writes: the rest is for the store to put its log in order."""


@dataclass(frozen=True, slots=True)
class Supply:
    """Bytes and inodes of a file system; `inodes` is None where those are not limited."""

    bytes: int
    inodes: int | None

    def room(self, resource: Resource) -> Room:
        """The room that one resource leaves."""
        if resource is Resource.BYTES:
            return _room(self.bytes, SCARCE_BELOW_BYTES, NONE_BELOW_BYTES)
        return (
            Room.AMPLE if self.inodes is None else _room(self.inodes, RESERVE_INODES, LAST_INODES)
        )

    @property
    def scarcest(self) -> Resource:
        """The resource that leaves the least room; bytes where both leave the same."""
        return max(Resource, key=self.room)


class SpaceGuard(Protocol):
    """What a node asks about the room under its store."""

    def room(self) -> Room:
        """The room that is left."""
        ...

    @property
    def scarcest(self) -> Resource:
        """The resource that leaves the least."""
        ...


class Unlimited:
    """A `SpaceGuard` of a disk that never fills up."""

    scarcest = Resource.BYTES

    def room(self) -> Room:
        """As `SpaceGuard.room`."""
        return Room.AMPLE

    def __repr__(self) -> str:
        return "<Unlimited>"


class Space:
    """The file system that a directory is on."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._next = clock.now()
        self._room = Room.NONE
        self._scarcest = Resource.BYTES

    def room(self) -> Room:
        """What is left, as of a moment ago."""
        now = self._clock.now()
        if now >= self._next:
            self._next = now + MEASURE_INTERVAL_S
            free = free_supply(self._path)
            self._scarcest = free.scarcest
            self._room = free.room(self._scarcest)
        return self._room

    @property
    def scarcest(self) -> Resource:
        """The resource that left the least as of `room`."""
        return self._scarcest

    def __repr__(self) -> str:
        return f"<Space {self._path} {self._room.name}>"


def takes(request: Request, room: Room) -> bool:
    """Whether a request is begun with so much room."""
    if room is Room.AMPLE or type(request) not in WRITING:
        return True
    # A delete is how a client makes room.
    adds = isinstance(request, CoordinateChange) and request.kind is not Kind.DELETE
    return room is Room.SCARCE and not adds


def free_supply(path: Path) -> Supply:
    """What this process may still take of the file system of `path`."""
    facts = os.statvfs(path)
    # btrfs and others make inodes as they need them, and report none at all.
    inodes = facts.f_favail if facts.f_files else None
    return Supply(facts.f_bavail * facts.f_frsize, inodes)


def needed_to_open(path: Path) -> Supply:
    """What the store in `path` may take to open: its log over again, and its own notes."""
    notes = 8 * 1024 * 1024
    logs = sum(log.stat().st_size for log in path.glob("rocks/*.log"))
    return Supply(notes + logs, OPEN_INODES)


def shortfall(needed: Supply, free: Supply) -> str | None:
    """What keeps a store from being opened, for the operator; None where nothing does."""
    if free.bytes < needed.bytes:
        return f"{free.bytes >> 20} MB free, and to open it may take {needed.bytes >> 20} MB"
    if free.inodes is not None and needed.inodes is not None and free.inodes < needed.inodes:
        return f"{free.inodes} inodes free, and to open it may take {needed.inodes} inodes"
    return None


def _room(free: int, reserve: int, last: int) -> Room:
    return Room.AMPLE if free >= reserve else Room.SCARCE if free >= last else Room.NONE
