"""Where a host is now: names are looked up anew for every connection, since containers move.

One look-up at a time per host, and none is given up: whoever knows the names may be slow to say
that one is gone, and look-ups that piled up would keep those of other hosts waiting.
"""

import asyncio
import socket


class Host:
    """A host by its name or address."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lookup: asyncio.Task[list[str]] | None = None

    async def addresses(self) -> list[str]:
        """Its addresses, best first. Raises OSError where it is not known.

        Whoever is cancelled while waiting leaves the look-up to the next one to ask.
        """
        if self._lookup is None:
            self._lookup = asyncio.get_running_loop().create_task(self._look_up())
        try:
            return await asyncio.shield(self._lookup)
        finally:
            if self._lookup.done():
                self._lookup = None

    def close(self) -> None:
        """Give up a look-up under way."""
        if self._lookup is not None:
            self._lookup.cancel()

    async def _look_up(self) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.name, None, type=socket.SOCK_STREAM)
        return [str(address[0]) for *_, address in found]

    def __repr__(self) -> str:
        return f"<Host {self.name}{', being looked up' if self._lookup else ''}>"
