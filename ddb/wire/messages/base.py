"""The base of all messages."""

from typing import ClassVar

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The common encoding, and what a node asks of a request's class."""

    writes_disk: ClassVar[bool]
    """True: the request stores states, and a node declines it while its disk is nearly full.

    False: a node answers it on a full disk, too. Each request states this. There is no default, so
    a new request that writes cannot pass the full-disk guard by omission.
    """
    before_ready: ClassVar[bool] = False
    """True: a node answers the request while it joins a cluster. False: only once it votes."""


class Failed(Message, tag=60, frozen=True):
    """The reply to any request that the node did not begin."""

    reason: str
