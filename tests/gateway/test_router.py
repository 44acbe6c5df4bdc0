"""The router where the simulation, which tests what it answers, does not look."""

import asyncio
import gc
import random
from typing import Any

import pytest

from ddb.gateway.records import Unavailable
from ddb.gateway.router import Router
from ddb.ring.ring import Ring
from ddb.wire.clock import SystemClock
from ddb.wire.messages import Peek, Read, Reply, Request
from ddb.wire.ports import Condition, Silent


class Failing:
    """A `Transport` to nodes that look well, of which every request fails, one kind `late`."""

    def __init__(self, late: type[Request] | None) -> None:
        self._late = late

    def ask(
        self, to: str, request: Request, *, deadline: float, patience: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[Reply] = loop.create_future()

        def fail() -> None:
            if not asked.done():
                asked.set_exception(Silent(to))

        loop.call_later(0.01 if type(request) is self._late else 0, fail)
        return asked

    def condition(self, _to: str) -> Condition:
        """As `Transport.condition`."""
        return Condition.UP


@pytest.mark.parametrize("late", [None, Read, Peek])
@pytest.mark.parametrize("given_up", [False, True])
def test_no_failure_of_a_home_is_left_for_the_log(
    late: type[Request] | None, given_up: bool
) -> None:
    """Where both homes fail a read, at once or in turn, the log has no exception nobody took."""
    said: list[dict[str, Any]] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: said.append(context))
        router = Router(Ring(("a", "b", "c")), Failing(late), SystemClock(), random.Random(1))
        reading = asyncio.create_task(router.read("ada"))
        if given_up:
            await asyncio.sleep(0.005)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        else:
            with pytest.raises(Unavailable):
                await reading
        await asyncio.sleep(0.02)
        gc.collect()

    asyncio.run(scenario())
    gc.collect()
    assert said == []
