"""A node's report of itself: status, readiness, disk."""

from enum import IntEnum

from ddb.wire.messages.base import Message


class GetStatus(Message, tag=14, frozen=True):
    """Ask a node for its status document."""

    writes_disk = False
    before_ready = True


class Status(Message, tag=45, frozen=True):
    """The reply to `GetStatus`: a JSON object."""

    json: bytes


class Ping(Message, tag=15, frozen=True):
    """Ask for a `Pong`, which shows that the node runs."""

    writes_disk = False
    before_ready = True


class DiskState(IntEnum):
    """A node's verdict on its own disk, best first."""

    HEALTHY = 0
    SLOW = 1
    """Flushes are overdue. The node still stores states, and callers choose it last."""
    STALLED = 2
    """A flush has been in flight for longer than any request lasts."""


class Pong(Message, tag=46, frozen=True):
    """The reply to `Ping`.

    `ready`: True if the node votes and reaches a peer in each of its cells. False: no caller
    should choose it.
    """

    ready: bool
    disk: DiskState = DiskState.HEALTHY


class DiskNotice(Message, tag=59, frozen=True):
    """Unsolicited: a node sends it to each caller when its disk changes its state.

    `give_up`: True if the caller should send its requests in flight to another node. Each of them
    may still take effect. The node asks for that only while all its peers are up. False: the caller
    waits on.
    """

    disk: DiskState
    give_up: bool
