"""What a node says of itself: its status, whether it is ready, and its disk."""

from enum import IntEnum

from ddb.wire.messages.base import Message


class GetStatus(Message, tag=14, frozen=True):
    """Ask a node for its status."""

    writes_disk = False
    before_ready = True


class Status(Message, tag=45, frozen=True):
    """Answers Report: a JSON object."""

    json: bytes


class Ping(Message, tag=15, frozen=True):
    """Ask for a sign of life."""

    writes_disk = False
    before_ready = True


class DiskState(IntEnum):
    """What a node says of its own disk, best first."""

    HEALTHY = 0
    SLOW = 1
    """Flushes are overdue: the node is the last choice, and stores what it is asked to."""
    STALLED = 2
    """A flush has been in flight for longer than any request lasts."""


class Pong(Message, tag=46, frozen=True):
    """Answers Ping."""

    ready: bool
    disk: DiskState = DiskState.HEALTHY


class DiskNotice(Message, tag=59, frozen=True):
    """Answers nothing: a node sends it to every caller when the state of its disk changes.

    `give_up`: the node asks the caller to send every request in flight to another node instead.
    Each of them may take effect. It does so where all nodes that share records with it are up.
    """

    disk: DiskState
    give_up: bool
