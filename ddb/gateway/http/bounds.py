"""Bounds on what one client connection may take: bytes, lines, and time without progress.

Every connection of both lanes is swept once a second, so a bound costs a request nothing: it leaves
the moment of its last progress, and the sweep compares.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Phase(Enum):
    """What a connection waits for."""

    IDLE = "idle"
    """The first byte of a request."""
    HEAD = "head"
    """The end of a request's head, since its first byte."""
    BODY = "body"
    """More of a request's body."""
    ANSWER = "answer"
    """The answer to a request, which has a deadline of its own."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one connection."""

    head_bytes: int = 64 * 1024
    """Too low: requests with large cookies fail. Too high: unfinished heads fill memory."""
    head_lines: int = 100
    """Too low: requests through many proxies fail. Too high: 4-byte lines take 60 times their
    bytes in memory."""
    framing_per_body_byte: int = 8
    """Bytes of chunk headers beyond `head_bytes`, per byte of body. Too low: a body in chunks of
    one byte (5 of framing each) fails. Too high: chunk extensions keep a connection busy."""
    head_s: float = 10.0
    """Too low: clients on slow links fail. Too high: slow heads hold descriptors."""
    body_s: float = 30.0
    """Without a byte of body. Too low: clients that pause fail. Too high: as `head_s`."""
    idle_s: float = 75.0
    """Too low: clients connect again and again. Too high: idle clients hold descriptors."""
    unread_s: float = 75.0
    """Without a byte read of what was sent. Too low: paused clients lose answers. Too high:
    clients that read nothing hold answers in memory."""

    def overdue(self, phase: Phase, waited: float) -> bool:
        """Whether a connection has waited too long, in seconds, in this phase."""
        match phase:
            case Phase.IDLE:
                return waited > self.idle_s
            case Phase.HEAD:
                return waited > self.head_s
            case Phase.BODY:
                return waited > self.body_s
            case Phase.ANSWER:
                return False


class Unread:
    """For how long a client has read nothing of what waits to be sent to it."""

    __slots__ = ("_since", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._since = 0.0

    def waited(self, size: int, now: float) -> float:
        """Seconds without progress; `size`: bytes that wait to be sent, `now`: the loop's time."""
        if size == 0 or size != self._size:
            self._size, self._since = size, now
        return now - self._since

    def __repr__(self) -> str:
        return f"<Unread {self._size} bytes>"


class Swept(Protocol):
    """A connection with bounds."""

    def sweep(self, now: float) -> None:
        """Close the connection if it is overdue; `now`: the loop's time."""
        ...


class Sweeper:
    """Sweeps all connections, again and again."""

    PERIOD_S = 1.0
    """Too low: with 10,000 connections a sweep takes 3 ms of CPU. Too high: bounds are met late."""

    def __init__(self, connections: Iterable[Swept], period_s: float = PERIOD_S) -> None:
        """`connections` is a live collection."""
        self._connections = connections
        self._period_s = period_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Sweep from now on, on the running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._period_s, self._sweep, loop)

    def stop(self) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._period_s, self._sweep, loop)
        now = loop.time()
        for connection in tuple(self._connections):
            connection.sweep(now)

    def __repr__(self) -> str:
        return f"<Sweeper every {self._period_s} s>"
