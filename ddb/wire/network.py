"""The network as a process sees it: a link to each node."""

import asyncio

from ddb.wire.link import Link
from ddb.wire.messages import Reply, Request
from ddb.wire.ports import Condition


class Network:
    """The real `Transport`: a link to each node."""

    def __init__(self, links: dict[str, Link]) -> None:
        self.links = links

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        return self.links[to].ask(request, deadline, timeout_s)

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        return self.links[to].condition

    def close(self) -> None:
        """Cut every connection."""
        for link in self.links.values():
            link.close()

    def __repr__(self) -> str:
        return f"<Network {', '.join(map(repr, self.links.values()))}>"
