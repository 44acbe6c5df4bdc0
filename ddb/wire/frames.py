"""Frames: how messages lie in a byte stream.

    length        4 bytes   of what follows the length
    correlation   4 bytes   chosen by the caller, repeated in the reply
    time          8 bytes   microseconds on the callee's clock: in a request the deadline,
                            in a reply the moment of answering
    message       the rest  msgpack

A length is checked before anything is read or decoded, so a peer that talks garbage costs one
closed connection and no memory.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from ddb.wire.messages import Reply, Request

MAX_FRAME_BYTES = 8 * 1024 * 1024
"""Bytes; senders keep batches far below."""

_HEAD = struct.Struct(">IIQ")
_AFTER_LENGTH = _HEAD.size - 4

T = TypeVar("T", Request, Reply)


class DamagedFrame(Exception):
    """The stream cannot be understood from here on; the connection must be closed."""


_encode = msgspec.msgpack.Encoder().encode


def frame(correlation: int, time: float, message: Request | Reply) -> bytes:
    """One message as bytes; `time` in seconds on the callee's clock."""
    payload = _encode(message)
    return _HEAD.pack(_AFTER_LENGTH + len(payload), correlation, int(time * 1e6)) + payload


class FrameReader(Generic[T]):
    """Cuts a stream into messages of one union type."""

    __slots__ = ("_decode", "_rest")

    def __init__(self, kind: object) -> None:
        self._rest = b""
        decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kind)
        self._decode: Callable[[memoryview], T] = decoder.decode

    def feed(self, data: bytes) -> Iterator[tuple[int, float, T]]:
        """Yield (correlation, time in seconds, message) for each frame that is complete.

        Raises `DamagedFrame`.
        """
        if self._rest:
            data = self._rest + data
        whole, decode = memoryview(data), self._decode
        at, end = 0, len(data)
        try:
            while end - at >= _HEAD.size:
                length, correlation, micros = _HEAD.unpack_from(data, at)
                if not _AFTER_LENGTH < length <= MAX_FRAME_BYTES:
                    raise DamagedFrame(f"a frame of {length} bytes")
                start, after = at + _HEAD.size, at + 4 + length
                if end < after:
                    break
                at = after
                yield correlation, micros / 1e6, decode(whole[start:after])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DamagedFrame(str(error)) from error
        finally:
            self._rest = data[at:]
