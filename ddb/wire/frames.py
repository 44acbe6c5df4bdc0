"""Frames: the layout of messages in a byte stream.

    length        4 bytes   of all fields below, in bytes
    correlation   4 bytes   chosen by the caller, repeated in the reply
    time          8 bytes   microseconds on the callee's clock: in a request the deadline,
                            in a reply the time of the reply
    message       remaining msgpack

The reader checks the length before it reads or decodes anything. A peer that sends garbage costs
one closed connection and no memory.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from ddb.wire.messages import Reply, Request

MAX_FRAME_BYTES = 8 * 1024 * 1024
"""Bytes of a frame.

Lower: large batches close their connection. Higher: one peer can make this process allocate more.
Senders limit their batches to a fraction.
"""

_HEAD = struct.Struct(">IIQ")
_HEAD_BYTES = _HEAD.size
_AFTER_LENGTH = _HEAD_BYTES - 4

T = TypeVar("T", Request, Reply)


class DamagedFrame(Exception):
    """The stream has bytes that are no frame; the reader's owner closes the connection."""


_encode = msgspec.msgpack.Encoder().encode


def frame(correlation: int, time: float, message: Request | Reply) -> bytes:
    """Encode one message; `time` is in seconds on the callee's clock."""
    payload = _encode(message)
    return _HEAD.pack(_AFTER_LENGTH + len(payload), correlation, int(time * 1e6)) + payload


class FrameReader(Generic[T]):
    """Splits a stream into messages of one union type."""

    __slots__ = ("_decode", "_partial")

    def __init__(self, kind: object) -> None:
        self._partial = b""
        decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kind)
        self._decode: Callable[[memoryview], T] = decoder.decode

    def feed(self, data: bytes) -> Iterator[tuple[int, float, T]]:
        """Yield (correlation, time in seconds, message) for each complete frame.

        Raises `DamagedFrame`.
        """
        if self._partial:
            data = self._partial + data
        view, decode = memoryview(data), self._decode
        at, end = 0, len(data)
        try:
            while end - at >= _HEAD_BYTES:
                length, correlation, micros = _HEAD.unpack_from(data, at)
                if not _AFTER_LENGTH < length <= MAX_FRAME_BYTES:
                    raise DamagedFrame(f"a frame of {length} bytes")
                start, after = at + _HEAD_BYTES, at + 4 + length
                if end < after:
                    break
                at = after
                yield correlation, micros / 1e6, decode(view[start:after])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DamagedFrame(str(error)) from error
        finally:
            self._partial = data[at:]
