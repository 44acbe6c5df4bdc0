"""Rounds: to a node as one replica of a cell, and back."""

import msgspec

from ddb.record.version import Dot
from ddb.wire.messages.base import Message


class ReadReplica(Message, tag=20, frozen=True):
    """Ask for a record's state unless its newest dot is `newest`.

    A gateway wants it not `whole`: without the log of keyed operations, of up to 52 KiB.
    """

    writes_disk = False

    key: bytes
    newest: Dot
    whole: bool = True


class ReadVersion(Message, tag=27, frozen=True):
    """Ask for a record's newest dot alone."""

    writes_disk = False

    key: bytes


class Propose(Message, tag=21, frozen=True):
    """Promise `ballot`; and accept `state` under it if your newest dot is `base`."""

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


class CommitNotice(Message, tag=28, frozen=True):
    """My rounds with a counter above `since` and up to `upto` have ended: see `node.rounds`.

    `reached`: a counter that my ceiling on disk covers: a disk with a lower one is out of date.
    """

    writes_disk = False

    node_id: int
    since: int
    upto: int
    reached: int


class SameVersion(Message, tag=50, frozen=True):
    """Answers Read: my newest dot is the one you named."""


class ReplicaState(Message, tag=51, frozen=True):
    """Answers Read and Propose: my state is another one (empty where I have none).

    `decided`, in answers to Read: whether I know it to be, or to be overtaken by one that is.
    """

    state: bytes
    decided: bool = False


class VersionOnly(Message, tag=57, frozen=True):
    """Answers Peek; `decided` as in `ReplicaState`."""

    dot: Dot
    decided: bool = False


class Accepted(Message, tag=52, frozen=True):
    """Answers Propose and Accept: durably accepted."""


class Rejected(Message, tag=53, frozen=True):
    """Answers Propose and Accept: not stored, because of a newer promise, floor or version."""

    promise: Dot
    newest: Dot


class CommitNoticeAck(Message, tag=58, frozen=True):
    """Answers Ended.

    `expired`: for each node id a counter up to which its ballots are older than an Idempotency-Key
    is remembered. It spares a node that has restarted the wait of a whole window.
    """

    expired: dict[int, int] = msgspec.field(default_factory=dict)
