"""Ask one node for its status, from outside the cluster."""

import asyncio

import msgspec

from ddb.wire.frames import FrameReader, frame
from ddb.wire.messages import GetStatus, Reply, Status

FAR = 2.0**40
"""A deadline that no clock reaches, in seconds.

A status request has no effect, so it cannot be too late.
"""


async def ask_status(host: str, port: int, seconds: float) -> dict[str, object]:
    """Return the node's status document.

    Raises `OSError` if the connection fails, and `TimeoutError` after `seconds`.
    """
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(frame(1, FAR, GetStatus()))
            frames: FrameReader[Reply] = FrameReader(Reply)
            while data := await reader.read(65536):
                for _, _, reply in frames.feed(data):
                    if isinstance(reply, Status):
                        return msgspec.json.decode(reply.json, type=dict[str, object])
            raise ConnectionError(f"{host}:{port} closed the connection without a status")
        finally:
            writer.close()
