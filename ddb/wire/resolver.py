"""Connect to a host, resolved each time, since containers change their addresses.

A host has at most one look-up at a time, and no caller aborts it. A name server may be slow to
report that a name does not exist. Look-ups that piled up would delay those of other hosts.
"""

import asyncio
import socket
from collections.abc import Callable


class Host:
    """A host by its name or address."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lookup: asyncio.Task[list[str]] | None = None

    async def addresses(self) -> list[str]:
        """Return the host's addresses, best first. Raises `OSError` if there are none.

        A caller that is cancelled leaves the look-up to the next caller.
        """
        if self._lookup is None:
            self._lookup = asyncio.get_running_loop().create_task(self._look_up())
        try:
            return await asyncio.shield(self._lookup)
        finally:
            if self._lookup.done():
                self._lookup = None

    async def connected(
        self, port: int, protocol: Callable[[], asyncio.Protocol]
    ) -> asyncio.Transport:
        """Connect to the first of the host's addresses that accepts. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        refusal = OSError(f"{self.name} has no address")
        for address in await self.addresses():
            try:
                transport, _ = await loop.create_connection(protocol, address, port)
            except OSError as error:
                refusal = error
            else:
                return transport
        raise refusal

    def close(self) -> None:
        """Cancel a look-up in flight."""
        if self._lookup is not None:
            self._lookup.cancel()

    async def _look_up(self) -> list[str]:
        loop = asyncio.get_running_loop()
        entries = await loop.getaddrinfo(self.name, None, type=socket.SOCK_STREAM)
        return [str(address[0]) for *_, address in entries]

    def __repr__(self) -> str:
        return f"<Host {self.name}{', look-up in flight' if self._lookup else ''}>"
