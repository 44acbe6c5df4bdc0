"""The identities of this gateway's operations, and the promise of which are over.

Coordinators remember an operation in the record it changed until no attempt at it can arrive any
more. Only the gateway knows when that is: once every attempt was answered, or its deadline has
passed. It says so with every request, as the lowest sequence number still open.
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
"""Seconds kept open beyond the deadline, for clocks that do not run at quite the same rate."""

_decode = msgspec.json.Decoder().decode
_canonical = msgspec.json.Encoder(order="sorted").encode


class Operations:
    """Issues sequence numbers and keeps track of the open ones."""

    def __init__(self, rng: random.Random) -> None:
        self.sender = rng.randbytes(SENDER_BYTES)
        self._last = 0
        self._open: dict[int, None] = {}

    def begin(self) -> int:
        """A new sequence number, open until `end`."""
        self._last += 1
        self._open[self._last] = None
        return self._last

    def end(self, sequence: int, linger: float = 0.0) -> None:
        """No further attempt will be made; those made may live for `linger` seconds yet."""
        if linger > 0:
            asyncio.get_running_loop().call_later(
                linger + LINGER_GRACE_S, self._open.pop, sequence, None
            )
        else:
            self._open.pop(sequence, None)

    @property
    def low(self) -> int:
        """Every operation with a smaller number is over."""
        return next(iter(self._open), self._last + 1)

    def name(self, sequence: int) -> Operation:
        """The identity of an operation of this gateway."""
        return Operation(self.sender + sequence.to_bytes(OPERATION_BYTES - SENDER_BYTES, "big"))

    def __repr__(self) -> str:
        return f"<Operations of {self.sender.hex()}: {self._last} begun, {len(self._open)} open>"


def named_by_client(key: str, record_id: str, change: Change) -> Operation:
    """The identity of an operation with an Idempotency-Key: the same through every gateway.

    Two requests are the same when they mean the same: the order of fields does not matter, nor the
    order of tags, nor a tag given twice.
    """
    body = _canonical(_decode(change.body)) if change.body else b""
    tags = tuple(sorted(set(change.match)))
    request = repr((record_id, int(change.kind), body, tags)).encode()
    return Operation(
        hashlib.blake2b(key.encode(), digest_size=OPERATION_BYTES).digest(),
        hashlib.blake2b(request, digest_size=FINGERPRINT_BYTES).digest(),
    )
