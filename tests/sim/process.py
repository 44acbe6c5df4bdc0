"""Processes on the simulated loop, and their scheduled callbacks."""

import contextvars
import struct
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any

import msgspec

_pack_number = struct.Struct("<I").pack


class Process:
    """One incarnation of one simulated process."""

    __slots__ = (
        "alive",
        "context",
        "fuse",
        "name",
        "number",
        "on_fuse",
        "paused",
        "ready",
        "stamp",
    )

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.stamp = _pack_number(number)
        self.alive = True
        self.paused = False
        self.ready: deque[Handle] = deque()
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)
        self.fuse = -1
        self.on_fuse: Callable[[], None] | None = None

    def __repr__(self) -> str:
        state = "dead" if not self.alive else "paused" if self.paused else "running"
        return f"<Process {self.name}#{self.number} {state}>"


PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("process")


class Handle(msgspec.Struct, eq=False):
    """A scheduled callback, with the methods of `asyncio.TimerHandle` that asyncio calls.

    It is a struct, which has no Python constructor: a run spends most of its time on making these.
    """

    callback: Callable[..., object] | None
    args: tuple[Any, ...]
    context: Context
    process: Process
    due: float

    def cancel(self) -> None:
        """Prevent the callback from running."""
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """Return whether `cancel` was called."""
        return self.callback is None

    def when(self) -> float:
        """Return the loop's time at which it is due."""
        return self.due
