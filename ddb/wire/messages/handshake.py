"""The opening of a connection: who calls, and whether the callee talks to it."""

import msgspec

from ddb.wire.messages.base import Message

PROTOCOL = 8
"""Raised with every incompatible change; processes of different protocols refuse each other."""


class Boot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One start of a node: its id, and how far its disk had come by then.

    `number` counts the starts of this disk, and `nonce` is drawn at each. `ceiling` is the counter
    up to which ballots were reserved on the disk.
    """

    node_id: int
    number: int
    nonce: int
    ceiling: int


class Hello(Message, tag=1, frozen=True):
    """First request on every connection; `ring` is the digest of the caller's placement.

    `boot` is None for a gateway.
    """

    writes_disk = False

    protocol: int
    ring: bytes
    caller: str
    counter: int
    boot: Boot | None = None


class Welcome(Message, tag=2, frozen=True):
    """The callee accepts; `counter` is its hybrid clock, so that ballots start above its floor."""

    name: str
    counter: int
    boot: Boot | None = None


class Unwelcome(Message, tag=3, frozen=True):
    """The callee refuses to talk, and says why to whoever reads the caller's log.

    `outdated`: the callee remembers a later state of the caller's disk.
    """

    reason: str
    outdated: bool = False
