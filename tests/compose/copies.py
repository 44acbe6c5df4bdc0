"""Status and copies of the nodes, read from the nodes themselves."""

import asyncio
from typing import Any

from ddb.ring.ring import PARTITIONS, Ring
from ddb.wire.status_client import ask_status
from tests.compose.stack import NODE_PORT, address
from tests.system.digests import Table, read_digests, unequal_homes
from tests.system.peer import Peer

REPLY_TIMEOUT_S = 2.0
"""Time for one reply. Lower: a busy node counts as unreachable."""


class Copies:
    """Reads the copies of the given nodes."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.ring = Ring(names)
        self._addresses: dict[str, str] = {}

    async def facts(self, name: str) -> dict[str, Any] | None:
        """Return a node's own status; None if it does not reply."""
        try:
            facts = await ask_status(await self._address(name), NODE_PORT, REPLY_TIMEOUT_S)
        except (OSError, TimeoutError):
            self._addresses.pop(name, None)
            return None
        if facts["name"] != name:
            self._addresses.pop(name, None)
            return None
        return facts

    async def settled(self) -> bool:
        """Return whether every node votes and no node has hints."""
        facts = await asyncio.gather(*map(self.facts, self.names))
        return all(
            each is not None and each["state"] == "ready" and not each["hints"] for each in facts
        )

    async def unequal(self) -> set[int]:
        """Return the partitions whose two homes have different states.

        All partitions count as different if a node does not reply.
        """
        tables = dict(
            zip(self.names, await asyncio.gather(*map(self._digests, self.names)), strict=True)
        )
        if not all(tables.values()):
            return set(range(PARTITIONS))
        return unequal_homes(self.ring, tables)

    async def _digests(self, name: str) -> Table:
        """Return a node's digests by partition; none if it does not reply."""

        def read(host: str) -> Table:
            with Peer(NODE_PORT, self.ring, host=host) as peer:
                return read_digests(peer)

        try:
            return await asyncio.to_thread(read, await self._address(name))
        except OSError:
            self._addresses.pop(name, None)
        return []

    async def _address(self, name: str) -> str:
        """Return the container's address, which a restart may change. Raises `OSError`."""
        if name not in self._addresses:
            host = await asyncio.to_thread(address, name)
            if not host:
                raise ConnectionError(f"{name} is not connected")
            self._addresses[name] = host
        return self._addresses[name]

    def __repr__(self) -> str:
        return f"<Copies of {', '.join(self.names)}>"
