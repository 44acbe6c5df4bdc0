"""What a node takes while its disk fills up."""

from pathlib import Path

import pytest

from ddb.node.space import LAST, RESERVE, Room, Space, free_bytes, needed_to_open, takes
from ddb.record.change import Kind
from ddb.record.version import NEVER
from ddb.ring.ring import key_of
from ddb.wire.clock import SystemClock
from ddb.wire.messages import Accept, Do, Get, Hand, Propose, Read, Request

KEY = key_of("ada")


def change(kind: Kind) -> Do:
    return Do(KEY, kind, b"{}", (), b"x" * 14, b"", False, b"sender", 0)


ADDS = (change(Kind.CREATE), change(Kind.UPDATE))
AGREES = (change(Kind.DELETE), Propose(KEY, NEVER, NEVER, b""), Accept(KEY, b""), Hand([]))
READS = (Get(KEY), Read(KEY, NEVER))


@pytest.mark.parametrize(
    ("free", "room"),
    [
        (RESERVE, Room.AMPLE),
        (RESERVE - 1, Room.SCARCE),
        (LAST, Room.SCARCE),
        (LAST - 1, Room.NONE),
        (0, Room.NONE),
    ],
)
def test_room(free: int, room: Room) -> None:
    """How much is left decides what is taken, and each bound belongs to the better side."""
    assert Room.of(free) is room


def test_space_of_this_machine(tmp_path: Path) -> None:
    """The room is what the file system has left that the directory is on."""
    space = Space(tmp_path, SystemClock())
    assert free_bytes(tmp_path) > 0
    assert space.room() is Room.of(free_bytes(tmp_path))


def test_a_log_needs_its_size_again(tmp_path: Path) -> None:
    """To open a store takes room for what its log holds, on top of a little for any store."""
    little = needed_to_open(tmp_path)
    (tmp_path / "rocks").mkdir()
    (tmp_path / "rocks" / "000004.log").write_bytes(bytes(1000))
    assert needed_to_open(tmp_path) == little + 1000


@pytest.mark.parametrize(
    ("room", "declined"),
    [(Room.AMPLE, ()), (Room.SCARCE, ADDS), (Room.NONE, (*ADDS, *AGREES))],
)
def test_what_is_declined(room: Room, declined: tuple[Request, ...]) -> None:
    """Additions are declined first, what makes copies agree when nothing is left, reads never."""
    for request in (*ADDS, *AGREES, *READS):
        assert takes(request, room) is (request not in declined)
