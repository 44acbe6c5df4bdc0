"""The process behind `ddb up`: it starts the others, acts on them, and stops them."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping

from ddb.local.actions import STOP_TIMEOUT_S, Actions, is_listening, refused
from ddb.local.child import Child, ProcessState
from ddb.local.control import ProcessInfo, Reply, Request, remove_socket, serve
from ddb.local.layout import GATEWAY, Layout, foreign_name
from ddb.local.probe import HTTP_OK, PROBE_PAUSE_S, PROBE_TIMEOUT_S, fetch
from ddb.settings.table import Variable

_NOT_READY_S = 15.0
"""Seconds until the first report that the cluster is not ready; later ones come every 60 s."""


class Supervisor:
    """Runs one local cluster in the foreground until a signal stops it."""

    def __init__(
        self,
        layout: Layout,
        passed_on: Mapping[Variable[object], str],
        show: Callable[[str], None],
    ) -> None:
        """Prepare the processes and start none.

        Args:
            passed_on: the settings that each process takes from `ddb up`, as text.
            show: prints a text for the user.
        """
        self._layout = layout
        self._show = show
        self._children = {
            name: Child(name, layout.command(name, passed_on), layout.log(name))
            for name in layout.names
        }
        # The read end is each child's standard input. When this process ends, even by SIGKILL, the
        # kernel closes the write end, and the children exit.
        self._stdin_read, self._stdin_write = os.pipe()
        self._stop = asyncio.Event()
        self._kill_now = asyncio.Event()
        self._ready = False
        self._failed = False
        self._watchers: set[asyncio.Task[None]] = set()
        self._actions = Actions(layout, self._spawn)

    async def run(self, banner: str) -> int:
        """Run until a signal; return the exit code.

        Args:
            banner: the text to show when the cluster is ready.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup the cluster outlives its terminal.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._on_signal)
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
                self._show(banner)
            await stopping
        finally:
            await self._end_all()
            server.close()
            remove_socket(self._layout.data)
            os.close(self._stdin_write)
            os.close(self._stdin_read)
        self._show(_START_FAILED if self._failed else "Stopped.")
        return 1 if self._failed else 0

    async def handle(self, request: Request) -> Reply:
        """Handle the request of another command."""
        if request.action == "list":
            processes = {
                name: ProcessInfo(child.pid, child.state.value)
                for name, child in self._children.items()
            }
            return Reply(ok=True, message="", processes=processes)
        action = self._actions.by_name.get(request.action)
        child = self._children.get(request.name)
        if action is None:
            return refused(
                f"There is no action {request.action}. Nothing was done, and no data is affected."
                f" Choose one of {', '.join(self._actions.by_name)}."
            )
        if child is None:
            return refused(foreign_name(request.name, tuple(self._children)))
        async with child.busy:
            if self._stop.is_set():
                return refused(
                    "The cluster is stopping. Nothing was done, and no data is affected."
                    " Start the cluster with `ddb up`."
                )
            return await action(child)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._kill_now.set()
            return
        self._show("Stopping ...")
        self._stop.set()

    async def _spawn(self, child: Child) -> None:
        await child.spawn(self._stdin_read)
        watcher = asyncio.create_task(self._watch(child))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, child: Child) -> None:
        code = await child.wait()
        if child.end_expected or self._stop.is_set():
            return
        event = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        if self._ready:
            self._show(
                f"{child.name} {event} unexpectedly. Acknowledged writes are safe."
                f" Its log is {child.log}; `ddb start {child.name}` starts it again."
            )
            return
        self._failed = True
        self._show(f"{child.name} {event} while the cluster was starting. The end of its log:")
        self._show(child.log_tail() or "    (empty)")
        self._stop.set()

    async def _wait_until_ready(self) -> None:
        loop = asyncio.get_running_loop()
        next_report = loop.time() + _NOT_READY_S
        while not await self._is_ready():
            if loop.time() > next_report:
                self._show(
                    "The cluster is not ready yet, and may refuse requests. No data is affected."
                    f" Wait, or read the logs: {self._layout.data}/*.log"
                )
                next_report = loop.time() + 4 * _NOT_READY_S
            await asyncio.sleep(PROBE_PAUSE_S)

    async def _is_ready(self) -> bool:
        for child in self._children.values():
            if child.state is ProcessState.RUNNING and not await is_listening(self._layout, child):
                return False
        host, port = self._layout.address(GATEWAY)
        answer = await asyncio.to_thread(fetch, host, port, "/readyz", PROBE_TIMEOUT_S)
        return answer is not None and answer[0] == HTTP_OK

    async def _end_all(self) -> None:
        self._stop.set()
        ended = asyncio.create_task(self._all_ended())
        for child in self._children.values():
            child.end(signal.SIGTERM)
        kill_now = asyncio.create_task(self._kill_now.wait())
        await asyncio.wait(
            [ended, kill_now], timeout=STOP_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        kill_now.cancel()
        for child in self._children.values():
            if child.alive():
                self._show(
                    f"{child.name} did not stop in time. `ddb up` kills it; acknowledged writes"
                    " are safe."
                )
                child.end(signal.SIGKILL)
        await ended

    async def _all_ended(self) -> None:
        for child in self._children.values():
            await child.wait()

    def __repr__(self) -> str:
        running = sum(child.alive() for child in self._children.values())
        return f"<Supervisor of {self._layout.data}, {running} processes run>"


_START_FAILED = (
    "The cluster has not started, and all of its processes have ended. Its data stays on disk."
    " Remove the cause above, then run `ddb up` again."
)
