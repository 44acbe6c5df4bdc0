"""The handshake that opens each connection."""

from enum import Enum

import msgspec

from ddb.wire.messages.base import Message

PROTOCOL = 10
"""The version of all messages. Processes of different versions refuse each other.

Every incompatible change raises it. Without that, a process decodes a message as another one.
"""


class Boot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One start of a node, as its disk describes it.

    `number` counts the starts of this disk. `nonces` has a random number for each recent start,
    this one first. The node has reserved ballots on this disk up to the counter `ceiling`.
    """

    node_id: int
    number: int
    nonces: tuple[int, ...]
    ceiling: int


class Hello(Message, tag=1, frozen=True):
    """The first request on every connection.

    `ring` is the digest of the caller's placement. `counter` is the caller's hybrid clock at its
    start. `boot` is None for a gateway. `callee` is the node that the caller expects at this
    address, and `cluster` the id of the caller's cluster; each is empty where it has none.
    """

    writes_disk = False

    protocol: int
    ring: bytes
    caller: str
    counter: int
    boot: Boot | None = None
    callee: str = ""
    cluster: bytes = b""


class Welcome(Message, tag=2, frozen=True):
    """The callee accepts the connection.

    `counter` is the callee's hybrid clock. The caller's next ballots exceed it, so the callee's
    floor does not reject them. `cluster` is as in `Hello`.
    """

    name: str
    counter: int
    boot: Boot | None = None
    cluster: bytes = b""


class Refusal(Enum):
    """Why a callee refuses a connection."""

    MISMATCH = 0
    """The two are configured for each other wrongly, or have different versions."""
    UNPROVEN_DISK = 1
    """The callee has not yet found the caller's new disk at the caller's address."""
    OUTDATED_DISK = 2
    """The callee has a record of a later state of the caller's disk."""


class Unwelcome(Message, tag=3, frozen=True):
    """The callee refuses the connection.

    `reason` is for the caller's log. `boot` and `cluster` are those of the callee, as in `Hello`.
    """

    reason: str
    refusal: Refusal = Refusal.MISMATCH
    boot: Boot | None = None
    cluster: bytes = b""
