"""Handoff and rebuild: copies that move from one node to another."""

from enum import IntEnum

from ddb.record.version import Dot
from ddb.wire.messages.base import Message


class HandoffBatch(Message, tag=23, frozen=True):
    """Hints for a home, as pairs of key and state. The home accepts each as by `Accept`."""

    writes_disk = True

    states: list[tuple[bytes, bytes]]


class HandoffResult(Message, tag=54, frozen=True):
    """The reply to `HandoffBatch`, with one entry for each state in order.

    An entry is the home's newest durable dot and its newest promise. It is None if the home cannot
    read its own copy; the home then stored nothing.
    """

    marks: list[tuple[Dot, Dot] | None]


class Share(IntEnum):
    """A part of the copies that a node with a new disk needs."""

    HOMES = 1
    """States of records for which it is a home, from home copies."""
    HINTS = 2
    """States of records for which it is a home, from hints."""
    STANDBY = 3
    """Dots alone of records for which it is the standby, from home copies."""


class PullShare(Message, tag=26, frozen=True):
    """Read a page of `share` in key order, for the node `name`.

    The keys lie after `after` and before `until`. A node with a new disk asks for all keys. A node
    that has lost a range of keys asks for that range.

    `floor`: a counter at or above every ballot that the lost disk can have accepted. The callee
    rejects every ballot up to it from now on, its own too. Without the floor, one copy could decide
    a round. The lost disk has stored its state, and the callee stores it only later.
    """

    writes_disk = False

    name: str
    share: Share
    after: bytes
    floor: int
    until: bytes


class SharePage(Message, tag=56, frozen=True):
    """The reply to `PullShare`.

    A row is a key, the newest dot, and the state or empty. `after`: the key from which the caller
    continues, or None at the end. `gaps`: ranges of keys (from, to before) within this page that
    the callee cannot read.
    """

    rows: list[tuple[bytes, Dot, bytes]]
    after: bytes | None
    gaps: list[tuple[bytes, bytes]]
