"""The ports through which deciding code meets time and the network.

The real implementations are in this package; the simulated ones run the same code on virtual
time. Whoever implements `Transport` keeps the promises of its two exceptions to the letter:
honest answers to clients rest on them.
"""

import asyncio
from collections.abc import Coroutine
from enum import IntEnum
from typing import Any, Protocol

from ddb.wire.messages import Hello, Reply, Request


class Condition(IntEnum):
    """What a process believes of a peer, best first."""

    UP = 0
    SLOW = 1
    """It answers, but its disk is slow: the last choice, and as good as UP where no node is UP."""
    SUSPECT = 2
    """Connected, but no answer in time is expected: it is silent, cannot store or cannot vote."""
    DOWN = 3
    """Not connected."""


class Unreachable(Exception):
    """The request was never sent: the peer certainly has not seen it."""


class Silent(Exception):
    """The request was sent and no answer came: the peer may or may not act on it."""


class Clock(Protocol):
    """Time, as values."""

    def now(self) -> float:
        """Seconds of a clock that never jumps and also runs while the machine sleeps."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since the epoch; may be wrong and may jump."""
        ...


class Transport(Protocol):
    """Requests to nodes by name."""

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """Send `request`; the future holds the reply, or raises `Unreachable` or `Silent`.

        `deadline` is a `Clock.now()` after which neither side works on the request. `timeout_s`
        is how many seconds the peer may be altogether silent before it is given up as `Silent`;
        a peer that answers others in the meantime is given three times as long. A request is
        delivered once or not at all: whoever wants it twice asks twice.
        """
        ...

    def condition(self, to: str) -> Condition:
        """What is believed of the peer now."""
        ...


Handling = Reply | asyncio.Future[Reply] | Coroutine[Any, Any, Reply]
"""A reply that is there, one that will be (a future costs a third of a task), or one to make."""


class Handler(Protocol):
    """What a listening process does with requests."""

    def __call__(self, request: Request, deadline: float, caller: Hello | None) -> Handling:
        """The reply, or what will become of it. `deadline` is on this process's clock.

        `caller` is how the connection's other end introduced itself, None if it has not.
        """
        ...
