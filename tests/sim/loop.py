"""A deterministic asyncio loop: virtual time, and every choice from one seeded source.

Many processes share the loop. Within a process callbacks run in the order they were scheduled,
which asyncio promises; between processes the next to run is drawn. Time stands still while any
process can run and then jumps to the next timer. A process can be paused (what is due waits) or
killed (nothing of it ever runs again), between any two callbacks.
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
    """Time does not advance, or the run takes absurdly many steps."""


class SimLoop:
    """The loop. `trace` is the digest of every step, and of what `record` was given."""

    get_debug = staticmethod(bool)
    """Never; asked for every future, so without a frame of its own."""
    create_connection: Callable[..., Awaitable[object]]
    create_server: Callable[..., Awaitable[object]]
    getaddrinfo: Callable[..., Awaitable[object]]
    """As asyncio's; only where `Wires` are laid."""

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
        """Take bytes into the trace."""
        self.create_future: Callable[[], asyncio.Future[Any]] = partial(SimFuture, loop=self.face)
        """As asyncio's."""

    @property
    def face(self) -> asyncio.AbstractEventLoop:
        """This loop, as asyncio's types call it; it has what asyncio's own code asks of one."""
        return cast("asyncio.AbstractEventLoop", self)

    @property
    def trace(self) -> str:
        """The digest of the run so far: which process ran when, and what was sent."""
        self._absorb()
        return self._digest.hexdigest()

    def _absorb(self) -> None:
        self._digest.update(self._undigested)
        self._undigested.clear()

    # Processes.

    def process(self, name: str) -> Process:
        """A new incarnation."""
        self._made += 1
        return Process(name, self._made)

    def kill(self, process: Process) -> None:
        """End a process: what it would have done next never happens."""
        if process.alive:
            process.alive = False
            if process in self._runnable:
                self._runnable.remove(process)
            # Kept, so that no destructor of a half-done coroutine runs inside the simulation.
            self._graves.append(process)

    def pause(self, process: Process) -> None:
        """Stop a process where it is."""
        process.paused = True
        if process in self._runnable:
            self._runnable.remove(process)

    def resume(self, process: Process) -> None:
        """Let it go on; what became due meanwhile runs now."""
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
        """Call `make` as if it ran in a process: what it starts runs there."""
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
        """One function, without calls to others of its own: it runs 20,000 times per seed."""
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

    # What asyncio asks of a loop.

    def time(self) -> float:
        """Virtual seconds."""
        return self.now

    def is_running(self) -> bool:
        """Whether `run` is under way."""
        return not self._closed

    def is_closed(self) -> bool:
        """Whether `run` has ended."""
        return self._closed

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Any = None
    ) -> asyncio.Task[Any]:
        """A task of this loop, in the process of its context."""
        # A name: asyncio would number the tasks over all loops of the interpreter.
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
        """Collect what nobody else caught."""
        error = context.get("exception")
        if not self._closed and error is not None and not isinstance(error, StoreFailed):
            raised = traceback.extract_tb(error.__traceback__)[-1:]
            where = "".join(f" at {Path(at.filename).name}:{at.lineno}" for at in raised)
            self.errors.append(f"{context.get('message')}: {error!r}{where}")

    def __repr__(self) -> str:
        return f"<SimLoop {self.now:.6f} s, {self.steps} steps>"
