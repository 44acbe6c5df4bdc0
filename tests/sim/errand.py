"""One request of a client: to a gateway's process, there, and back."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ddb.gateway.routing.router import Router
from tests.sim.machines import Gateway, GatewayGone
from tests.sim.process import Process
from tests.sim.world import World

_TRAVEL = 0.0002

Work = Callable[[Router], Coroutine[Any, Any, object]]


class Lost(Exception):
    """The client waited long enough."""


async def through(world: World, index: int, work: Work, timeout_s: float, cancels: bool) -> object:
    """Have a gateway do something; raises what it raised, `GatewayGone` or `Lost`."""
    loop = world.loop
    gateway = world.gateways[index]
    if not gateway.process.alive:
        raise GatewayGone(False)
    done: asyncio.Future[object] = loop.create_future()
    gateway.waiting[done] = None
    sent = _Sent(world, loop.current, gateway, done)
    loop.later_in(gateway.process, _TRAVEL * world.rng.random(), sent.begin, work)
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
        """In the gateway's process."""
        gateway = self._gateway
        self._task = self._world.loop.create_task(
            work(gateway.router), context=gateway.process.context.copy()
        )
        self._task.add_done_callback(self._finish)

    def cancel(self) -> None:
        """In the gateway's process: the client is gone."""
        if self._task is not None:
            self._task.cancel()

    def _finish(self, task: asyncio.Task[object]) -> None:
        if not task.cancelled():
            delay = _TRAVEL * self._world.rng.random()
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
