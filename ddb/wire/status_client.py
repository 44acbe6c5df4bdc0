"""Asking one node how it is, from outside the cluster."""

import asyncio

import msgspec

from ddb.wire.frames import FrameReader, frame
from ddb.wire.messages import GetStatus, Reply, Status

FAR = 2.0**40
"""A deadline that no clock has reached; a report does nothing that could come too late."""


async def ask_status(host: str, port: int, seconds: float) -> dict[str, object]:
    """The node's status. Raises OSError or TimeoutError where it cannot be had."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(frame(1, FAR, GetStatus()))
            frames: FrameReader[Reply] = FrameReader(Reply)
            while data := await reader.read(65536):
                for _, _, reply in frames.feed(data):
                    if isinstance(reply, Status):
                        return msgspec.json.decode(reply.json, type=dict[str, object])
            raise ConnectionError(f"{host}:{port} answered with something else than a status")
        finally:
            writer.close()
