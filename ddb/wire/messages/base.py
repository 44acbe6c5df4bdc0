"""The base of all messages."""

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all messages: only the encoding is shared."""


class Failed(Message, tag=60, frozen=True):
    """Answers anything that the node would not even begin: nothing was done."""

    reason: str
