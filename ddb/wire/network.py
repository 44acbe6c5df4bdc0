"""The real `Transport`."""

import asyncio

from ddb.wire.link import Link
from ddb.wire.messages import Reply, Request
from ddb.wire.ports import Condition


class Network:
    """A link to each node."""

    def __init__(self, links: dict[str, Link]) -> None:
        self.links = links

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """See `Transport.ask`."""
        return self.links[to].ask(request, deadline, timeout_s)

    def condition(self, to: str) -> Condition:
        """See `Transport.condition`."""
        return self.links[to].condition

    def close(self) -> None:
        """Close every connection."""
        for link in self.links.values():
            link.close()

    def __repr__(self) -> str:
        return f"<Network {', '.join(map(repr, self.links.values()))}>"
