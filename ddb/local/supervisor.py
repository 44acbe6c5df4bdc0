"""The process behind `ddb up`: starts the others, does to them what it is asked to, ends them."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping

from ddb.local.child import Child, Process
from ddb.local.control import Found, Reply, Request, retire, serve
from ddb.local.layout import GATEWAY, Layout
from ddb.local.ports import port_error
from ddb.local.probe import HTTP_OK, fetch, listens
from ddb.settings.table import Variable

_GRACE = 5.0
_START_TAKES = 30.0
_GLANCE = 1.0
_PAUSE = 0.05
_QUIET = 15.0


class Supervisor:
    """Runs one local cluster in the foreground until it is told to stop."""

    def __init__(
        self,
        layout: Layout,
        passed_on: Mapping[Variable[object], str],
        say: Callable[[str], None],
    ) -> None:
        self._layout = layout
        self._say = say
        self._children = {
            name: Child(name, layout.command(name, passed_on), layout.log(name))
            for name in layout.names
        }
        # Children hold the reading end as their standard input: however this process ends, the
        # kernel closes the writing end, and they see it.
        self._lifeline, self._held_end = os.pipe()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ready = False
        self._failed = False
        self._watchers: set[asyncio.Task[None]] = set()
        self._actions: dict[str, Callable[[Child], Awaitable[Reply]]] = {
            "stop": self._stop_child,
            "kill": self._kill_child,
            "pause": self._pause_child,
            "resume": self._resume_child,
            "start": self._start_child,
        }

    async def run(self, banner: str) -> int:
        """Run until a signal; `banner` is said when the cluster is ready. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup the terminal's end is no reason to stop.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._told_to_stop)
        server = await serve(self._layout.data, self.handle)
        try:
            for child in self._children.values():
                await self._spawn(child)
            starting = asyncio.create_task(self._wait_until_ready())
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.cancel():
                starting.result()
            if not self._stop.is_set():
                self._ready = True
                self._say(banner)
            await stopping
        finally:
            await self._end_all()
            server.close()
            retire(self._layout.data)
            os.close(self._held_end)
            os.close(self._lifeline)
        self._say("Stopped." if not self._failed else "Nothing was left running.")
        return 1 if self._failed else 0

    async def handle(self, request: Request) -> Reply:
        """Do what another command asks for."""
        if request.action == "list":
            found = {
                name: Found(child.pid, child.state.value) for name, child in self._children.items()
            }
            return Reply(ok=True, message="", processes=found)
        action = self._actions.get(request.action)
        child = self._children.get(request.name)
        if action is None:
            return Reply(ok=False, message=f"There is no way to {request.action} a process.")
        if child is None:
            names = ", ".join(self._children)
            return Reply(
                ok=False, message=f"There is no {request.name} here: this cluster has {names}."
            )
        async with child.busy:
            if self._stop.is_set():
                return Reply(ok=False, message="The whole cluster is being stopped.")
            return await action(child)

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
            return
        self._say("Stopping ...")
        self._stop.set()

    async def _spawn(self, child: Child) -> None:
        await child.spawn(self._lifeline)
        watcher = asyncio.create_task(self._watch(child))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, child: Child) -> None:
        code = await child.ended()
        if child.expected or self._stop.is_set():
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        if self._ready:
            self._say(
                f"{child.name} {how}, unasked; its last words are in {child.log}."
                f" `ddb start {child.name}` brings it back."
            )
            return
        self._failed = True
        self._say(f"{child.name} {how} while the cluster was starting. Its last words:")
        self._say(child.last_words() or "    (none)")
        self._stop.set()

    async def _wait_until_ready(self) -> None:
        loop = asyncio.get_running_loop()
        patience = loop.time() + _QUIET
        while not await self._is_ready():
            if loop.time() > patience:
                self._say(f"Not ready yet; the logs are {self._layout.data}/*.log. Waiting on.")
                patience = loop.time() + 4 * _QUIET
            await asyncio.sleep(_PAUSE)

    async def _is_ready(self) -> bool:
        for child in self._children.values():
            if child.state is Process.RUNNING and not await self._listens(child):
                return False
        host, port = self._layout.address(GATEWAY)
        answer = await asyncio.to_thread(fetch, host, port, "/readyz", _GLANCE)
        return answer is not None and answer[0] == HTTP_OK

    async def _listens(self, child: Child) -> bool:
        host, port = self._layout.address(child.name)
        return await asyncio.to_thread(listens, host, port, _GLANCE)

    async def _end_all(self) -> None:
        self._stop.set()
        ended = asyncio.create_task(self._all_ended())
        for child in self._children.values():
            child.end(signal.SIGTERM)
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait([ended, hurry], timeout=_GRACE, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        for child in self._children.values():
            if child.alive():
                self._say(f"{child.name} did not stop in time and is killed.")
                child.end(signal.SIGKILL)
        await ended

    async def _all_ended(self) -> None:
        for child in self._children.values():
            await child.ended()

    async def _stop_child(self, child: Child) -> Reply:
        if not child.alive():
            return _no(f"{child.name} is stopped already.")
        child.end(signal.SIGTERM)
        if not await child.ended_within(2 * _GRACE):
            return _no(
                f"{child.name} has not stopped within {2 * _GRACE:.0f} seconds."
                f" `ddb kill {child.name}` ends it."
            )
        return _yes(f"{child.name} is stopped.")

    async def _kill_child(self, child: Child) -> Reply:
        if not child.alive():
            return _no(f"{child.name} is stopped already.")
        child.end(signal.SIGKILL)
        await child.ended()
        return _yes(f"{child.name} is killed.")

    async def _pause_child(self, child: Child) -> Reply:
        if child.state is not Process.RUNNING:
            return _no(
                f"{child.name} is {child.state.value}; only a running process can be paused."
            )
        if not await child.pause():
            return _no(f"{child.name} took no notice of being paused; it is {child.state.value}.")
        return _yes(f"{child.name} is paused.")

    async def _resume_child(self, child: Child) -> Reply:
        if child.state is not Process.PAUSED:
            return _no(
                f"{child.name} is {child.state.value}; only a paused process can be resumed."
            )
        if not await child.resume():
            return _no(f"{child.name} could not be resumed; it is {child.state.value}.")
        return _yes(f"{child.name} runs on.")

    async def _start_child(self, child: Child) -> Reply:
        if child.alive():
            return _no(f"{child.name} is {child.state.value} already.")
        # Another process there would look like this one listening.
        if complaint := port_error(self._layout, child.name):
            return _no(f"{child.name} cannot be started. {complaint}")
        try:
            await self._spawn(child)
        except OSError as error:
            return _no(
                f"{child.name} cannot be started: {error}. Its data is as it was."
                f" Make room there, then `ddb start {child.name}` again."
            )
        # Its end before it listens is told to the one who asked, not on the supervisor's terminal.
        child.expected = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_TAKES
        while child.alive() and loop.time() < deadline:
            if await self._listens(child):
                child.expected = False
                return _yes(f"{child.name} is started (pid {child.pid}).")
            await asyncio.sleep(_PAUSE)
        if not child.alive():
            return _no(f"{child.name} did not start. Its last words:\n{child.last_words()}")
        child.expected = False
        return _yes(
            f"{child.name} runs (pid {child.pid}) but does not listen yet: see {child.log}."
        )


def _yes(message: str) -> Reply:
    return Reply(ok=True, message=message)


def _no(message: str) -> Reply:
    return Reply(ok=False, message=message)
