"""The ports through which decisions meet time and the network.

This package has the real implementations. The simulation runs the same decisions on virtual time.
Honest replies to clients depend on the two exceptions. Each implementation of `Transport` raises
them exactly as this module defines them.
"""

import asyncio
from collections.abc import Coroutine
from enum import IntEnum
from typing import Any, Protocol

from ddb.wire.messages import Hello, Reply, Request


class Condition(IntEnum):
    """A process's verdict on a peer, best first."""

    UP = 0
    SLOW = 1
    """The peer replies, but its disk is slow. Callers choose it last; it serves like UP."""
    SUSPECT = 2
    """The peer is connected, but a reply in time is unlikely.

    It is silent, cannot store or does not vote.
    """
    DOWN = 3
    """The peer is not connected."""


class Unreachable(Exception):
    """The caller did not send the request: the peer certainly does not act on it."""


class Silent(Exception):
    """The caller sent the request and got no reply: the peer may or may not act on it."""


class Clock(Protocol):
    """Time, as values."""

    def now(self) -> float:
        """Return the seconds of a clock that never jumps.

        The clock also runs while the machine sleeps.
        """
        ...

    def wall_ms(self) -> int:
        """Return the milliseconds since the epoch; they may be wrong and may jump."""
        ...


class Transport(Protocol):
    """Requests to nodes by name."""

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """Send `request` and return the future of its reply.

        The future raises `Unreachable` or `Silent`. The peer gets a request once or not at all.

        Args:
            to: The node's name.
            request: The request.
            deadline: A value of `Clock.now()`. After it, neither side works on the request.
            timeout_s: Seconds of complete silence after which the peer counts as `Silent`. A peer
                that replies to other requests meanwhile gets three times as long.
        """
        ...

    def condition(self, to: str) -> Condition:
        """Return the present verdict on the peer."""
        ...


Handling = Reply | asyncio.Future[Reply] | Coroutine[Any, Any, Reply]
"""A reply, a future of one, or a coroutine that makes one.

A future costs a third of a task.
"""


class Handler(Protocol):
    """The function that a listener calls with each request."""

    def __call__(self, request: Request, deadline: float, caller: Hello | None) -> Handling:
        """Handle one request.

        Args:
            request: The request.
            deadline: The request's deadline, on this process's clock.
            caller: The Hello of this connection; None before the first one.
        """
        ...
