"""Reads and rounds: to a node as one acceptor of a cell, and back.

A gateway sends `ReadReplica` and `ReadVersion`, too. The other requests come from peers.
"""

import msgspec

from ddb.record.version import Dot
from ddb.wire.messages.base import Message


class ReadReplica(Message, tag=20, frozen=True):
    """Read a record's state unless its newest dot is `newest`.

    `whole`: True for the whole state. False: without the log of keyed operations, which takes up to
    52 KiB. A gateway asks for this.
    """

    writes_disk = False

    key: bytes
    newest: Dot
    whole: bool = True


class ReadVersion(Message, tag=27, frozen=True):
    """Read a record's newest dot alone."""

    writes_disk = False

    key: bytes


class Propose(Message, tag=21, frozen=True):
    """Promise `ballot`, and accept `state` if the newest dot is `base`."""

    writes_disk = True

    key: bytes
    ballot: Dot
    base: Dot
    state: bytes


class Accept(Message, tag=22, frozen=True):
    """Accept `state` under its own newest dot."""

    writes_disk = True

    key: bytes
    state: bytes


class SameVersion(Message, tag=50, frozen=True):
    """The reply to `ReadReplica`: the newest dot is the requested one."""


class ReplicaState(Message, tag=51, frozen=True):
    """The reply to `ReadReplica` or `Propose`: the node has another state.

    `state` is empty if the node has none. `decided`, in replies to `ReadReplica`: True if this
    state is decided, or a decided one has replaced it. False: the node cannot tell.
    """

    state: bytes
    decided: bool = False


class VersionOnly(Message, tag=57, frozen=True):
    """The reply to `ReadVersion`; `decided` as in `ReplicaState`."""

    dot: Dot
    decided: bool = False


class Accepted(Message, tag=52, frozen=True):
    """The reply to `Propose` or `Accept`: the state is durable."""


class Rejected(Message, tag=53, frozen=True):
    """The reply to `Propose` or `Accept`: the node did not store the state.

    The node has a newer promise, a higher floor or a newer version.
    """

    promise: Dot
    newest: Dot


class CommitNotice(Message, tag=28, frozen=True):
    """The sender's rounds with a counter above `after` and up to `upto` have ended.

    `consensus.open_rounds` defines the end of a round. The sender's ceiling on disk is at least
    `reached`. A disk of that node with a lower ceiling is out of date.
    """

    writes_disk = False

    node_id: int
    after: int
    upto: int
    reached: int


class CommitNoticeAck(Message, tag=58, frozen=True):
    """The reply to `CommitNotice`.

    `expired` has a counter per node id. Ballots up to it are older than the dedup window. A node
    that has restarted therefore need not wait for a whole window.
    """

    expired: dict[int, int] = msgspec.field(default_factory=dict)
