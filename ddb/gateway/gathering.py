"""A transport that gathers what is written to it in one tick of the loop.

uvicorn writes a response's head and its body apart, and a write is a system call of some five CPU
microseconds: as much as looking up the record.
"""

import asyncio
from typing import cast


class GatheringTransport(asyncio.Transport):
    """A client's connection; everything but writing is the transport's own affair."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write at the end of this tick."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(bytes(data))

    def write_eof(self) -> None:
        """As asyncio's, after what was gathered."""
        self._flush()
        self._transport.write_eof()

    def can_write_eof(self) -> bool:
        """As asyncio's."""
        return self._transport.can_write_eof()

    def close(self) -> None:
        """As asyncio's, after what was gathered."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """As asyncio's."""
        self._parts.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """As asyncio's."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """As asyncio's."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """As asyncio's."""
        self._transport.resume_reading()

    def is_reading(self) -> bool:
        """As asyncio's."""
        return self._transport.is_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As asyncio's."""
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """As asyncio's."""
        return self._transport.get_protocol()

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has yet to take."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._parts))

    def get_extra_info(self, name: str, default: object = None) -> object:
        """As asyncio's."""
        return cast("object", self._transport.get_extra_info(name, default))

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))

    def __repr__(self) -> str:
        return f"<GatheringTransport {len(self._parts)} parts gathered>"
