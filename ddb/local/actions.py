"""The actions of a user on one process of a local cluster: stop, kill, pause, resume, start."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from ddb.local.child import Child, ProcessState
from ddb.local.control import Reply
from ddb.local.layout import Layout
from ddb.local.ports import port_error
from ddb.local.probe import PROBE_PAUSE_S, PROBE_TIMEOUT_S, listens

STOP_TIMEOUT_S = 5.0
"""Too low: a node is killed during its last flush. Too high: Ctrl-C of a stuck cluster is slow."""
_START_TIMEOUT_S = 30.0
"""Too low: `ddb start` reports a slow start as unfinished. Too high: it blocks on a stuck node."""


class Actions:
    """Acts on one process at a time. The caller has locked `Child.busy`."""

    def __init__(self, layout: Layout, spawn: Callable[[Child], Awaitable[None]]) -> None:
        """`spawn`: starts the process of a child, and watches it. Raises `OSError`."""
        self.by_name: dict[str, Callable[[Child], Awaitable[Reply]]] = {
            "stop": self._stop,
            "kill": self._kill,
            "pause": self._pause,
            "resume": self._resume,
            "start": self._start,
        }
        self._layout = layout
        self._spawn = spawn

    async def _stop(self, child: Child) -> Reply:
        if not child.alive():
            return refused(_already_stopped(child))
        child.end(signal.SIGTERM)
        if not await child.ends_within(2 * STOP_TIMEOUT_S):
            return refused(
                f"{child.name} has not stopped within {2 * STOP_TIMEOUT_S:.0f} seconds."
                f" Acknowledged writes are safe. `ddb kill {child.name}` ends it."
            )
        return _done(f"{child.name} is stopped.")

    async def _kill(self, child: Child) -> Reply:
        if not child.alive():
            return refused(_already_stopped(child))
        child.end(signal.SIGKILL)
        await child.wait()
        return _done(f"{child.name} is killed.")

    async def _pause(self, child: Child) -> Reply:
        refusal = await _signalled(child, "pause", ProcessState.RUNNING, child.pause)
        return refusal or _done(f"{child.name} is paused.")

    async def _resume(self, child: Child) -> Reply:
        refusal = await _signalled(child, "resume", ProcessState.PAUSED, child.resume)
        return refusal or _done(f"{child.name} is running again.")

    async def _start(self, child: Child) -> Reply:
        if child.alive():
            return refused(
                f"{child.name} is {child.state.value} already. Nothing was done, and no data is"
                " affected."
            )
        # Another process on the port would pass the check that this one listens.
        if error := port_error(self._layout, child.name):
            return refused(f"{child.name} cannot start. {error}")
        try:
            await self._spawn(child)
        except OSError as os_error:
            return refused(
                f"{child.name} cannot start: {os_error}. Its data is unchanged. Remove the cause,"
                f" for example by freeing disk space. Then repeat `ddb start {child.name}`."
            )
        # Until it listens, this reply reports its end, not the terminal of `ddb up`.
        child.end_expected = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_TIMEOUT_S
        while child.alive() and loop.time() < deadline:
            if await is_listening(self._layout, child):
                child.end_expected = False
                return _done(f"{child.name} is started (pid {child.pid}).")
            await asyncio.sleep(PROBE_PAUSE_S)
        if not child.alive():
            return refused(
                f"{child.name} did not start. Its data stays on disk, and the others serve."
                f" The end of its log gives the reason:\n{child.log_tail()}"
            )
        child.end_expected = False
        return _done(
            f"{child.name} runs (pid {child.pid}) but does not listen yet. No data is affected."
            f" Its log is {child.log}."
        )

    def __repr__(self) -> str:
        return f"<Actions on {self._layout.data}: {', '.join(self.by_name)}>"


async def is_listening(layout: Layout, child: Child) -> bool:
    """Return whether the process accepts connections at its address in the layout."""
    host, port = layout.address(child.name)
    return await asyncio.to_thread(listens, host, port, PROBE_TIMEOUT_S)


async def _signalled(
    child: Child, action: str, required: ProcessState, act: Callable[[], Awaitable[bool]]
) -> Reply | None:
    """Act on a child in the required state. Return the refusal where that is not possible.

    `act`: sends the signal, and returns whether it took effect in time.
    """
    if child.state is not required:
        return refused(
            f"{child.name} is {child.state.value}; only a {required.value} process can be"
            f" {action}d. Nothing was done, and no data is affected."
        )
    if not await act():
        return refused(
            f"{child.name} did not {action} in time; it is {child.state.value}. No data is"
            f" affected. Repeat `ddb {action} {child.name}`."
        )
    return None


def _already_stopped(child: Child) -> str:
    return (
        f"{child.name} is stopped already. Nothing was done, and no data is affected."
        f" `ddb start {child.name}` starts it."
    )


def _done(message: str) -> Reply:
    return Reply(ok=True, message=message)


def refused(message: str) -> Reply:
    """Return the reply to an action that failed or was refused."""
    return Reply(ok=False, message=message)
