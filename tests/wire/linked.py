"""Links for tests, and peers that do not reply as they should."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from ddb.wire.frames import frame
from ddb.wire.link import Link
from ddb.wire.messages import CoordinateGet, Failed, GetResult, Pong, Reply, Welcome
from ddb.wire.ports import Condition, Silent
from tests.loop import SOON, until
from tests.wire.serving import CLOCK, HELLO, HOST, NAME

SLACK = 1.0
"""Seconds that a busy machine may add to any wait."""


@asynccontextmanager
async def linked(port: int) -> AsyncIterator[Link]:
    """Yield a link, and close it at the end."""
    link = Link(NAME, HOST, port, lambda: HELLO, CLOCK)
    try:
        yield link
    finally:
        link.close()
        await asyncio.sleep(0.01)


async def up(link: Link) -> None:
    """Wait until the link's node is UP."""
    await until(lambda: link.condition is Condition.UP)


async def ask(
    link: Link, key: bytes = b"k", within: float = SOON, timeout_s: float = SOON
) -> Reply:
    """Return the reply to one request."""
    return await link.ask(CoordinateGet(key), CLOCK.now() + within, timeout_s)


async def never(request: CoordinateGet) -> Reply:
    """Reply too late: a value for `Node.slow`."""
    await asyncio.sleep(SOON)
    return GetResult(request.key)


async def refused(request: asyncio.Future[Reply]) -> bool:
    """Return True if the node refused a late request, or its caller has given up before."""
    try:
        return isinstance(await request, Failed)
    except Silent:
        return True


class Deaf(asyncio.Protocol):
    """A peer that replies to Hello alone, or also sends pongs."""

    def __init__(self, pongs: bool) -> None:
        self._pongs = pongs
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if not self._greeted:
            self._greeted = True
            self.transport.write(frame(1, CLOCK.now(), Welcome(NAME, 1)))
        elif self._pongs:
            # A reply to no request, which still shows that the peer runs.
            self.transport.write(frame(0xFFFFFFFF, CLOCK.now(), Pong(True)))


@asynccontextmanager
async def deaf(pongs: bool = False) -> AsyncIterator[int]:
    """Yield the port of a peer that replies to no request."""
    peers: list[Deaf] = []

    def peer() -> Deaf:
        peers.append(Deaf(pongs))
        return peers[-1]

    server = await asyncio.get_running_loop().create_server(peer, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in peers:
            each.transport.abort()
        await asyncio.sleep(0.01)
