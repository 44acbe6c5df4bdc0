"""A process on the real wire: production links and listener over simulated streams."""

import asyncio
from collections.abc import Callable
from functools import partial

from ddb.wire.link import Link
from ddb.wire.messages import Hello, Reply, Request, Unwelcome, Welcome
from ddb.wire.network import Network
from ddb.wire.ports import Clock, Condition
from tests.sim.process import Process

Watch = Callable[[str, str, Request], None]


def _take(_name: str, _reply: Welcome | Unwelcome) -> str:
    return ""


class WiredTransport:
    """The real `Network`, with an observer's question."""

    def __init__(
        self,
        name: str,
        names: tuple[str, ...],
        process: Process,
        hello: Callable[[str], Hello],
        clock: Clock,
        watches: list[Watch],
        judge: Callable[[str, Welcome | Unwelcome], str] | None = None,
    ) -> None:
        """Make the links, which connect at once; call this in the process itself."""
        self.name = name
        self.process = process
        self._watches = watches
        self._network = Network(
            {
                other: Link(
                    other, other, 0, partial(hello, other), clock, partial(judge or _take, other)
                )
                for other in names
                if other != name
            }
        )

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        for watch in self._watches:
            watch(self.name, to, request)
        return self._network.ask(to, request, deadline=deadline, timeout_s=timeout_s)

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        return self._network.condition(to)

    def nudge(self, name: str) -> None:
        """Let the link to a peer connect now, as a node does once that peer has connected."""
        link = self._network.links.get(name)
        if link is not None:
            link.nudge()

    def all_up(self, names: tuple[str, ...] | None = None) -> bool:
        """Return whether this process believes all peers up, or all of `names`."""
        return all(
            self.condition(name) is Condition.UP
            for name in (self._network.links if names is None else names)
            if name != self.name
        )

    def __repr__(self) -> str:
        return f"<WiredTransport of {self.name}: {self._network!r}>"
