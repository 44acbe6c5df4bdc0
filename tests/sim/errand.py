"""One request of a client: its way to a gateway's process and back."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ddb.gateway.routing.router import Router
from tests.sim.machines import Gateway, GatewayGone
from tests.sim.process import Process
from tests.sim.world import World

_MAX_TRAVEL_S = 0.0002
"""Most virtual seconds between a client and its gateway, each way."""

Work = Callable[[Router], Coroutine[Any, Any, object]]


class Lost(Exception):
    """The client's timeout has passed."""


async def through(world: World, index: int, work: Work, timeout_s: float, cancels: bool) -> object:
    """Perform `work` in a gateway and return its result.

    Args:
        timeout_s: virtual seconds until the client gives up.
        cancels: True cancels the work at the timeout. False leaves it running.

    Raises:
        GatewayGone: the gateway's process does not run, or died.
        Lost: the timeout has passed.
        Exception: any error of the work itself.
    """
    loop = world.loop
    gateway = world.gateways[index]
    if not gateway.process.alive:
        raise GatewayGone(False)
    done: asyncio.Future[object] = loop.create_future()
    gateway.waiting[done] = None
    sent = _Sent(world, loop.current, gateway, done)
    loop.later_in(gateway.process, _MAX_TRAVEL_S * world.rng.random(), sent.begin, work)
    timer = loop.call_later(timeout_s, _expire, done)
    try:
        return await done
    except Lost:
        if cancels:
            loop.soon_in(gateway.process, sent.cancel)
        raise
    finally:
        timer.cancel()
        gateway.waiting.pop(done, None)


class _Sent:
    """One request on its way to a gateway's process and back to the client's."""

    def __init__(
        self, world: World, client: Process, gateway: Gateway, done: asyncio.Future[object]
    ) -> None:
        self._world = world
        self._client = client
        self._gateway = gateway
        self._done = done
        self._task: asyncio.Task[object] | None = None

    def begin(self, work: Work) -> None:
        """Start the work, in the gateway's process."""
        gateway = self._gateway
        self._task = self._world.loop.create_task(
            work(gateway.router), context=gateway.process.context.copy()
        )
        self._task.add_done_callback(self._finish)

    def cancel(self) -> None:
        """Cancel the work, in the gateway's process."""
        if self._task is not None:
            self._task.cancel()

    def _finish(self, task: asyncio.Task[object]) -> None:
        if not task.cancelled():
            delay = _MAX_TRAVEL_S * self._world.rng.random()
            self._world.loop.later_in(self._client, delay, self._deliver, task)

    def _deliver(self, task: asyncio.Task[object]) -> None:
        error = task.exception()
        if self._done.done():
            return
        if error is None:
            self._done.set_result(task.result())
        else:
            self._done.set_exception(error)


def _expire(done: asyncio.Future[object]) -> None:
    if not done.done():
        done.set_exception(Lost())
