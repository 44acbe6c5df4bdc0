"""A deterministic asyncio loop: virtual time, and all choices from one seeded source.

Many processes share the loop. Within a process, callbacks run in the order of their scheduling, as
asyncio promises. Between processes, the loop draws the next one to run. Virtual time stops while
any process can run, then jumps to the next timer. Between any two callbacks the loop can pause or
kill a process. A paused process runs its due callbacks later, a killed one never.
"""

import asyncio
import hashlib
import heapq
import random
import struct
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from ddb.node.storage.store import StoreFailed
from tests.sim.future import SimFuture
from tests.sim.process import PROCESS, Handle, Process

T = TypeVar("T")
_pack_moment = struct.Struct("<d").pack
_UNDIGESTED = 1 << 16


class Livelock(Exception):
    """The run has nothing left to do, or takes more steps than any proper run."""


class SimLoop:
    """The loop. `trace` is the digest of all steps and of the bytes given to `record`."""

    get_debug = staticmethod(bool)
    """Always false. asyncio calls it for each future, so it has no Python frame."""
    create_connection: Callable[..., Awaitable[object]]
    create_server: Callable[..., Awaitable[object]]
    getaddrinfo: Callable[..., Awaitable[object]]
    """As asyncio's; set by `Wires`."""

    def __init__(self, rng: random.Random, most_steps: int = 3_000_000) -> None:
        SimFuture.start_over()
        self.now = 0.0
        self.steps = 0
        self._undigested = bytearray()
        self._digest = hashlib.blake2b(digest_size=8)
        self.errors: list[str] = []
        self._most_steps = most_steps
        self._random = rng.random
        self._timers: list[tuple[float, int, Handle]] = []
        self._sequence = 0
        self._runnable: list[Process] = []
        self._made = 0
        self._closed = False
        self._graves: list[object] = []
        self.root = self.process("world")
        self.current = self.root
        self.record: Callable[[bytes], None] = self._undigested.extend
        """Adds bytes to the trace."""
        self.create_future: Callable[[], asyncio.Future[Any]] = partial(SimFuture, loop=self.face)
        """As asyncio's."""

    @property
    def face(self) -> asyncio.AbstractEventLoop:
        """This loop under asyncio's type; it has all methods that asyncio's own code calls."""
        return cast("asyncio.AbstractEventLoop", self)

    @property
    def trace(self) -> str:
        """The digest of the run so far: the processes that ran, the times and the messages."""
        self._absorb()
        return self._digest.hexdigest()

    def _absorb(self) -> None:
        self._digest.update(self._undigested)
        self._undigested.clear()

    # Processes.

    def process(self, name: str) -> Process:
        """Make a new incarnation of a process."""
        self._made += 1
        return Process(name, self._made)

    def kill(self, process: Process) -> None:
        """End a process: none of its callbacks ever runs again."""
        if process.alive:
            process.alive = False
            if process in self._runnable:
                self._runnable.remove(process)
            # The loop keeps it, so no destructor of an open coroutine runs in the simulation.
            self._graves.append(process)

    def pause(self, process: Process) -> None:
        """Stop a process between two callbacks."""
        process.paused = True
        if process in self._runnable:
            self._runnable.remove(process)

    def resume(self, process: Process) -> None:
        """Continue a process; callbacks that became due meanwhile run now."""
        process.paused = False
        if process.alive and process.ready and process not in self._runnable:
            self._runnable.append(process)

    def spawn(self, process: Process, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in a process."""
        return self.create_task(coroutine, context=process.context.copy())

    def soon_in(self, process: Process, callback: Callable[..., object], *args: Any) -> None:
        """Schedule a callback in a process."""
        self._enqueue(Handle(callback, args, process.context, process, self.now))

    def later_in(
        self, process: Process, delay: float, callback: Callable[..., object], *args: Any
    ) -> Handle:
        """Schedule a callback in a process after `delay` seconds."""
        handle = Handle(callback, args, process.context, process, self.now + delay)
        self._sequence += 1
        heapq.heappush(self._timers, (handle.due, self._sequence, handle))
        return handle

    def inside(self, process: Process, make: Callable[[], T]) -> T:
        """Call `make` as if in a process: the tasks and timers that it starts run there."""
        before, self.current = self.current, process
        try:
            return process.context.copy().run(make)
        finally:
            self.current = before

    # Running.

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run until `main`, in the root process, is done."""
        asyncio._set_running_loop(self.face)
        try:
            task = self.spawn(self.root, main)
            self._run_until(task.done)
            return task.result()
        finally:
            asyncio._set_running_loop(None)
            self._closed = True

    def _run_until(self, over: Callable[[], bool]) -> None:
        """Run callbacks until `over`; inlined, since its body runs 20,000 times per seed."""
        runnable, draw, trace = self._runnable, self._random, self._undigested
        most = self._most_steps
        while not over():
            count = len(runnable)
            if count == 0:
                self._advance()
                continue
            at = int(draw() * count) if count > 1 else 0
            process = runnable[at]
            ready = process.ready
            handle = ready.popleft()
            if not ready:
                runnable[at] = runnable[-1]
                runnable.pop()
            callback = handle.callback
            if callback is None:
                continue
            self.steps += 1
            if self.steps > most:
                raise Livelock(f"{self.steps} steps by {self.now:.3f} s")
            trace += process.stamp
            self.current = process
            try:
                handle.context.run(callback, *handle.args)
            except Exception as error:  # noqa: BLE001 (as asyncio's own: a loop outlives its callbacks)
                self.call_exception_handler({"message": repr(process), "exception": error})
            if process.fuse >= 0:
                self._burn(process)

    def _burn(self, process: Process) -> None:
        process.fuse -= 1
        if process.fuse < 0 and process.on_fuse is not None and process.alive:
            self.current = self.root
            process.on_fuse()

    def _advance(self) -> None:
        timers, pop = self._timers, heapq.heappop
        while timers and timers[0][2].callback is None:
            pop(timers)
        if not timers:
            raise Livelock(f"nothing left to do at {self.now:.3f} s")
        due = timers[0][0]
        if due > self.now:
            self.now = due
            self._undigested += _pack_moment(due)
            if len(self._undigested) > _UNDIGESTED:
                self._absorb()
        now = self.now
        while timers and timers[0][0] <= now:
            handle = pop(timers)[2]
            process = handle.process
            if handle.callback is None:
                continue
            if not process.alive:
                self._graves.append(handle)
                continue
            if not process.ready and not process.paused:
                self._runnable.append(process)
            process.ready.append(handle)

    def _enqueue(self, handle: Handle) -> None:
        process = handle.process
        if not process.alive:
            self._graves.append(handle)
            return
        if not process.ready and not process.paused:
            self._runnable.append(process)
        process.ready.append(handle)

    # Called by asyncio.

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now

    def is_running(self) -> bool:
        """Return whether `run` has not ended."""
        return not self._closed

    def is_closed(self) -> bool:
        """Return whether `run` has ended."""
        return self._closed

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Any = None
    ) -> asyncio.Task[Any]:
        """Make a task in the process of its context."""
        # Without a name, asyncio numbers the tasks of all loops in the interpreter.
        return asyncio.Task(coro, loop=self.face, name=name or "task", context=context)

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """As asyncio's."""
        if context is None:
            process = self.current
            context = process.context
        else:
            process = context[PROCESS]
        handle = Handle(callback, args, context, process, self.now)
        if not process.alive or self._closed:
            self._graves.append(handle)
            return handle
        ready = process.ready
        if not ready and not process.paused:
            self._runnable.append(process)
        ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        """As asyncio's."""
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        """As asyncio's."""
        if context is None:
            process = self.current
            context = process.context
        else:
            process = context[PROCESS]
        handle = Handle(callback, args, context, process, when)
        self._sequence += 1
        heapq.heappush(self._timers, (when, self._sequence, handle))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Collect an error that no task or callback has caught."""
        error = context.get("exception")
        if not self._closed and error is not None and not isinstance(error, StoreFailed):
            raised = traceback.extract_tb(error.__traceback__)[-1:]
            where = "".join(f" at {Path(at.filename).name}:{at.lineno}" for at in raised)
            self.errors.append(f"{context.get('message')}: {error!r}{where}")

    def __repr__(self) -> str:
        return f"<SimLoop {self.now:.6f} s, {self.steps} steps>"
