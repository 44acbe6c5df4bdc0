"""Bounds on one client connection: bytes, lines, and time without progress.

A sweep compares each connection's last progress with the bounds once a second. So a bound costs a
request only one assignment.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Phase(Enum):
    """The event that a connection waits for."""

    IDLE = "idle"
    """The first byte of a request."""
    HEAD = "head"
    """The end of a request's head; the wait starts at its first byte."""
    BODY = "body"
    """More of a request's body."""
    ANSWER = "answer"
    """The response to a request. Requests have a deadline of their own."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one connection."""

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
        """Return whether a connection has waited too long in a phase. `waited`: seconds."""
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
    """Measures for how long a client has not read its responses."""

    __slots__ = ("_since", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._since = 0.0

    def waited(self, size: int, now: float) -> float:
        """Return the seconds without progress.

        Args:
            size: bytes that wait to be sent.
            now: the loop's time.
        """
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
    """Sweeps all connections periodically."""

    PERIOD_S = 1.0
    """Too low: with 10,000 connections a sweep takes 3 ms of CPU. Too high: bounds are met late."""

    def __init__(self, connections: Iterable[Swept], period_s: float = PERIOD_S) -> None:
        """`connections`: a collection that its owner changes as connections open and close."""
        self._connections = connections
        self._period_s = period_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the sweeps, on the running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._period_s, self._sweep, loop)

    def stop(self) -> None:
        """Stop the sweeps."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._period_s, self._sweep, loop)
        now = loop.time()
        for connection in tuple(self._connections):
            connection.sweep(now)

    def __repr__(self) -> str:
        return f"<Sweeper every {self._period_s} s>"
