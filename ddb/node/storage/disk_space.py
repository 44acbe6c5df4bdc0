"""Disk space: which requests a node declines while its disk fills up.

After a write fails for lack of space, no process can tell what the disk contains. The node must
then stop. So the node declines writes well before that, and still answers reads. A declined write
has had no effect, and its client reads so in the error.
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
"""Seconds between measurements of the free space.

Too low: each costs a system call. Too high: writes fill the disk between two of them.
"""
SCARCE_BELOW_BYTES = 128 * 1024 * 1024
"""Free bytes below which the node declines additions.

Too low: no room remains for deletes and repair. Too high: a small disk declines writes early.
"""
NONE_BELOW_BYTES = 64 * 1024 * 1024
"""Free bytes below which the node declines every write.

A restart writes the whole log once more, as tables; the log has 16 MB. Too low: the node cannot
start again. Too high: deletes are declined although they make room.
"""
RESERVE_INODES = 128
"""Free inodes below which the node declines additions; see `LAST_INODES`."""
LAST_INODES = 64
"""Free inodes below which the node declines every write.

Too low: the store cannot create the tables for its log, and the node stops. Too high: a small file
system declines writes although it has room. Nodes on one file system share this reserve; each
creates a dozen files at most.
"""
OPEN_INODES = 32
"""Files that a store may create as it opens: tables from its log, a new log and RocksDB's own log.

Too low: the node stops as it starts. Too high: it waits although it could start.
"""


class Resource(Enum):
    """A supply of a file system that may run low."""

    BYTES = "bytes"
    INODES = "inodes"


class Room(IntEnum):
    """How much space remains, best first."""

    AMPLE = 0
    SCARCE = 1
    """The node accepts deletes and repairs, and declines the other changes of clients."""
    NONE = 2
    """The node declines every write: the store needs the space to turn its log into tables."""


# Each write compares with it. To read a member from its class costs 80 ns.
AMPLE = Room.AMPLE


@dataclass(frozen=True, slots=True)
class Supply:
    """Bytes and inodes of a file system; `inodes` is None where those are not limited."""

    bytes: int
    inodes: int | None

    def room(self, resource: Resource) -> Room:
        """Return the room that one resource leaves."""
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
    """The free space under a node's store."""

    def room(self) -> Room:
        """Return the room that remains."""
        ...

    @property
    def scarcest(self) -> Resource:
        """The resource that leaves the least room."""
        ...


class Unlimited:
    """The `SpaceGuard` of a disk that never fills up."""

    scarcest = Resource.BYTES

    def room(self) -> Room:
        """As `SpaceGuard.room`."""
        return Room.AMPLE

    def __repr__(self) -> str:
        return "<Unlimited>"


class Space:
    """The `SpaceGuard` of the file system that a directory is on."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._next = clock.now()
        self._room = Room.NONE
        self._scarcest = Resource.BYTES

    def room(self) -> Room:
        """Return the room as of at most `MEASURE_INTERVAL_S` ago."""
        now = self._clock.now()
        if now >= self._next:
            self._next = now + MEASURE_INTERVAL_S
            free = free_supply(self._path)
            self._scarcest = free.scarcest
            self._room = free.room(self._scarcest)
        return self._room

    @property
    def scarcest(self) -> Resource:
        """The resource that left the least room at the last measurement."""
        return self._scarcest

    def __repr__(self) -> str:
        return f"<Space {self._path} {self._room.name}>"


def takes(request: Request, room: Room) -> bool:
    """Whether a node with so much room accepts a request."""
    if room is AMPLE or type(request) not in WRITING:
        return True
    # A client makes room by deletes.
    adds = isinstance(request, CoordinateChange) and request.kind is not Kind.DELETE
    return room is Room.SCARCE and not adds


def free_supply(path: Path) -> Supply:
    """Return the supply that this process may use of the file system of `path`."""
    stats = os.statvfs(path)
    # btrfs and others create inodes on demand and report a total of 0.
    inodes = stats.f_favail if stats.f_files else None
    return Supply(stats.f_bavail * stats.f_frsize, inodes)


def needed_to_open(path: Path) -> Supply:
    """Return the supply that the store in `path` may use to open: its logs' size and 8 MB."""
    files_of_rocksdb = 8 * 1024 * 1024
    logs = sum(log.stat().st_size for log in path.glob("rocks/*.log"))
    return Supply(files_of_rocksdb + logs, OPEN_INODES)


def shortfall(needed: Supply, free: Supply) -> str | None:
    """Tell the operator what a store lacks to open; None where it lacks nothing."""
    if free.bytes < needed.bytes:
        return f"{free.bytes >> 20} MB free, and to open it may take {needed.bytes >> 20} MB"
    if free.inodes is not None and needed.inodes is not None and free.inodes < needed.inodes:
        return f"{free.inodes} inodes free, and to open it may take {needed.inodes} inodes"
    return None


def _room(free: int, reserve: int, last: int) -> Room:
    return Room.AMPLE if free >= reserve else Room.SCARCE if free >= last else Room.NONE
