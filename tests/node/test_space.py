"""Which requests a node accepts while its disk fills up."""

import os
from pathlib import Path

import pytest

from ddb.node.storage.disk_space import (
    LAST_INODES,
    NONE_BELOW_BYTES,
    OPEN_INODES,
    RESERVE_INODES,
    SCARCE_BELOW_BYTES,
    Resource,
    Room,
    Space,
    Supply,
    free_supply,
    needed_to_open,
    shortfall,
    takes,
)
from ddb.record.change import Kind
from ddb.record.version import NEVER
from ddb.ring.ring import key_of
from ddb.runtime.system_clock import SystemClock
from ddb.wire.messages import (
    Accept,
    CoordinateChange,
    CoordinateGet,
    HandoffBatch,
    Propose,
    ReadReplica,
    Request,
)

KEY = key_of("ada")


def change(kind: Kind) -> CoordinateChange:
    return CoordinateChange(KEY, kind, b"{}", (), b"x" * 14, b"", False, b"sender", 0)


ADDS = (change(Kind.CREATE), change(Kind.UPDATE))
AGREES = (change(Kind.DELETE), Propose(KEY, NEVER, NEVER, b""), Accept(KEY, b""), HandoffBatch([]))
READS = (CoordinateGet(KEY), ReadReplica(KEY, NEVER))


@pytest.mark.parametrize(
    ("free", "room", "scarcest"),
    [
        (Supply(SCARCE_BELOW_BYTES, RESERVE_INODES), Room.AMPLE, Resource.BYTES),
        (Supply(SCARCE_BELOW_BYTES - 1, RESERVE_INODES), Room.SCARCE, Resource.BYTES),
        (Supply(NONE_BELOW_BYTES, RESERVE_INODES), Room.SCARCE, Resource.BYTES),
        (Supply(NONE_BELOW_BYTES - 1, RESERVE_INODES), Room.NONE, Resource.BYTES),
        (Supply(0, RESERVE_INODES), Room.NONE, Resource.BYTES),
        (Supply(SCARCE_BELOW_BYTES, RESERVE_INODES - 1), Room.SCARCE, Resource.INODES),
        (Supply(SCARCE_BELOW_BYTES, LAST_INODES), Room.SCARCE, Resource.INODES),
        (Supply(NONE_BELOW_BYTES, LAST_INODES - 1), Room.NONE, Resource.INODES),
        (Supply(SCARCE_BELOW_BYTES, 0), Room.NONE, Resource.INODES),
        (Supply(0, 0), Room.NONE, Resource.BYTES),
        (Supply(SCARCE_BELOW_BYTES, None), Room.AMPLE, Resource.BYTES),
        (Supply(NONE_BELOW_BYTES, None), Room.SCARCE, Resource.BYTES),
    ],
)
def test_room(free: Supply, room: Room, scarcest: Resource) -> None:
    """The scarcest resource decides the room, and each bound belongs to the better side."""
    assert free.scarcest is scarcest
    assert free.room(free.scarcest) is room


def test_space_of_this_machine(tmp_path: Path) -> None:
    """The room is that of the file system that the directory is on."""
    space = Space(tmp_path, SystemClock())
    free = free_supply(tmp_path)
    assert free.bytes > 0
    assert space.room() is free.room(free.scarcest)
    assert space.scarcest is free.scarcest


@pytest.mark.parametrize(
    ("files", "available", "inodes"), [(1000, 7, 7), (1000, 0, 0), (0, 0, None)]
)
def test_inodes_are_limited_only_where_the_file_system_has_a_number_of_them(
    files: int, available: int, inodes: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that reports a total of 0 inodes creates them on demand."""
    stats = os.statvfs_result((4096, 4096, 100, 50, 40, files, available, available, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: stats)
    assert free_supply(Path()) == Supply(40 * 4096, inodes)


def test_a_log_needs_its_size_again(tmp_path: Path) -> None:
    """Opening a store needs the size of its log, in addition to a fixed amount."""
    fixed = needed_to_open(tmp_path)
    (tmp_path / "rocks").mkdir()
    (tmp_path / "rocks" / "000004.log").write_bytes(bytes(1000))
    assert needed_to_open(tmp_path) == Supply(fixed.bytes + 1000, fixed.inodes)


@pytest.mark.parametrize(
    ("free", "lacking"),
    [
        (Supply(9 << 20, OPEN_INODES), None),
        (Supply(9 << 20, None), None),
        (Supply(2 << 20, 0), "2 MB free, and to open it may take 8 MB"),
        (Supply(9 << 20, 3), f"3 inodes free, and to open it may take {OPEN_INODES} inodes"),
    ],
)
def test_shortfall_names_the_lacking_resource(free: Supply, lacking: str | None) -> None:
    """The operator reads which resource is short, and how much of it the store needs."""
    assert shortfall(Supply(8 << 20, OPEN_INODES), free) == lacking


@pytest.mark.parametrize(
    ("room", "declined"),
    [(Room.AMPLE, ()), (Room.SCARCE, ADDS), (Room.NONE, (*ADDS, *AGREES))],
)
def test_declined_requests(room: Room, declined: tuple[Request, ...]) -> None:
    """A node declines additions first, then repairs and deletes, and never reads."""
    for request in (*ADDS, *AGREES, *READS):
        assert takes(request, room) is (request not in declined)
