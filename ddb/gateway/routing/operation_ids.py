"""Identities of this gateway's operations, and the lowest one that is still open.

A record remembers an operation until no further attempt at it can arrive. Only the gateway can tell
when: after the reply to each attempt, or after the deadline. Each request carries `low`, the lowest
sequence number that is still open.
"""

import asyncio
import hashlib
import random

import msgspec

from ddb.record.change import Change
from ddb.record.keyed_log import FINGERPRINT_BYTES
from ddb.record.state import OPERATION_BYTES, Operation

SENDER_BYTES = 6
LINGER_GRACE_S = 0.5
"""Seconds for which an operation stays open after its deadline.

Too low: a node with a slower clock may act on an attempt after the record has dropped the identity.
The change then takes effect twice. Too high: records remember more operations.
"""

_decode = msgspec.json.Decoder().decode
_canonical = msgspec.json.Encoder(order="sorted").encode


class Operations:
    """Issues sequence numbers, and tracks the open ones."""

    def __init__(self, rng: random.Random) -> None:
        self.sender = rng.randbytes(SENDER_BYTES)
        self._last = 0
        self._open: dict[int, None] = {}

    def begin(self) -> int:
        """Issue a sequence number; it is open until `end`."""
        self._last += 1
        self._open[self._last] = None
        return self._last

    def end(self, sequence: int, linger: float = 0.0) -> None:
        """Close a sequence number: the gateway makes no further attempt.

        `linger`: seconds for which an earlier attempt may still be in flight; 0.0: none is.
        """
        if linger > 0:
            asyncio.get_running_loop().call_later(
                linger + LINGER_GRACE_S, self._open.pop, sequence, None
            )
        else:
            self._open.pop(sequence, None)

    @property
    def low(self) -> int:
        """The lowest open number; each operation with a lower one has ended."""
        return next(iter(self._open), self._last + 1)

    def name(self, sequence: int) -> Operation:
        """Make the identity of an operation of this gateway."""
        return Operation(self.sender + sequence.to_bytes(OPERATION_BYTES - SENDER_BYTES, "big"))

    def __repr__(self) -> str:
        return f"<Operations of {self.sender.hex()}: {self._last} begun, {len(self._open)} open>"


def named_by_client(key: str, record_id: str, change: Change) -> Operation:
    """Make the identity of an operation with an Idempotency-Key, equal on all gateways.

    The fingerprint ignores the order of fields, the order of tags, and repeated tags.
    """
    body = _canonical(_decode(change.body)) if change.body else b""
    tags = tuple(sorted(set(change.match)))
    request = repr((record_id, int(change.kind), body, tags)).encode()
    return Operation(
        hashlib.blake2b(key.encode(), digest_size=OPERATION_BYTES).digest(),
        hashlib.blake2b(request, digest_size=FINGERPRINT_BYTES).digest(),
    )
