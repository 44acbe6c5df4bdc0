"""The base of all messages."""

from typing import ClassVar

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all messages: only the encoding is shared."""

    writes_disk: ClassVar[bool]
    """True: the request stores states, and a node declines it while its disk is nearly full.

    False: a node answers it on a full disk, too. Each request states this. It has no default, so
    that a new request which writes cannot pass the full-disk guard by omission.
    """
    before_ready: ClassVar[bool] = False
    """True: a node answers the request while it joins a cluster. False: only once it votes."""


class Failed(Message, tag=60, frozen=True):
    """Answers anything that the node would not even begin: nothing was done."""

    reason: str
