"""Handoff and rebuild: copies that move from node to node."""

from enum import IntEnum

from ddb.record.version import Dot
from ddb.wire.messages.base import Message


class HandoffBatch(Message, tag=23, frozen=True):
    """Hints coming home: accept each state as by `Accept`."""

    writes_disk = True

    states: list[tuple[bytes, bytes]]


class HandoffResult(Message, tag=54, frozen=True):
    """Answers Hand: for each state in order, my newest durable dot and my newest promise.

    None where I cannot read my own copy: nothing was done.
    """

    marks: list[tuple[Dot, Dot] | None]


class Share(IntEnum):
    """A part of what a node with a new disk should hold, and where the asked node has it."""

    HOMES = 1
    """States of records it is a home of, from home copies."""
    HINTS = 2
    """States of records it is a home of, from hints."""
    STANDBY = 3
    """Dots alone of records it is the standby of, from home copies."""


class PullShare(Message, tag=26, frozen=True):
    """A node with a new disk asks for a part of its share, in key order after `after`.

    `floor`: a counter at or above every ballot that the lost disk can have accepted. The callee
    refuses what is no newer from now on, its own rounds too: one that the lost disk had stored,
    but this node not yet, would otherwise be decided by a copy that is no more.

    A node that has lost a range of keys alone asks in the same way for the keys from `after` to
    before `until`.
    """

    writes_disk = False

    name: str
    share: Share
    after: bytes
    floor: int
    until: bytes


class SharePage(Message, tag=56, frozen=True):
    """Answers Refill: (key, newest dot, state or empty), and the key to go on after, if any.

    `gaps`: key ranges (from, to before) within this part that the node cannot read itself.
    """

    rows: list[tuple[bytes, Dot, bytes]]
    after: bytes | None
    gaps: list[tuple[bytes, bytes]]
