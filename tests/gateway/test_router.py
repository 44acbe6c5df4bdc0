"""Parts of the router that the simulation does not reach."""

import asyncio
import gc
import random
from typing import Any

import pytest

from ddb.gateway.records import Applied, TooManyKeyed, Unavailable
from ddb.gateway.routing.router import Router
from ddb.record.change import Change, Kind
from ddb.ring.ring import Ring
from ddb.runtime.system_clock import SystemClock
from ddb.wire.messages import Failed, LogFull, ReadReplica, ReadVersion, Reply, Request, Undecided
from ddb.wire.ports import Condition, Silent


class Failing:
    """A `Transport` to nodes that are UP and silent.

    `late`: the type of request that fails 10 ms later than the others; None: all fail at once.
    """

    def __init__(self, late: type[Request] | None) -> None:
        self._late = late

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """Implement `Transport.ask`."""
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[Reply] = loop.create_future()

        def fail() -> None:
            if not asked.done():
                asked.set_exception(Silent(to))

        loop.call_later(0.01 if type(request) is self._late else 0, fail)
        return asked

    def condition(self, _to: str) -> Condition:
        """Implement `Transport.condition`."""
        return Condition.UP


@pytest.mark.parametrize("late", [None, ReadReplica, ReadVersion])
@pytest.mark.parametrize("given_up", [False, True])
def test_no_failure_of_a_home_is_left_for_the_log(
    late: type[Request] | None, given_up: bool
) -> None:
    """After both homes fail a read, asyncio logs no unread exception."""
    unread: list[dict[str, Any]] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: unread.append(context))
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
    assert unread == []


class Answering:
    """A `Transport` that gives these replies in order; None: silence."""

    def __init__(self, *answers: Reply | None) -> None:
        self._answers = list(answers)

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """Implement `Transport.ask`."""
        asked: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        answer = self._answers.pop(0)
        if answer is None:
            asked.set_exception(Silent(to))
        else:
            asked.set_result(answer)
        return asked

    def condition(self, _to: str) -> Condition:
        """Implement `Transport.condition`."""
        return Condition.UP


@pytest.mark.parametrize(
    ("before", "certain"),
    [
        ((), True),
        ((Undecided(False, "late"),), True),
        ((Failed("full disk"),), True),
        ((Undecided(True, "late"),), False),
        ((None,), False),
    ],
)
def test_full_record_answers_unknown_after_an_attempt_that_may_act(
    before: tuple[Reply | None, ...], certain: bool
) -> None:
    """A full record raises `TooManyKeyed`, or `Unavailable` after an attempt that may act."""

    async def scenario() -> None:
        transport = Answering(*before, LogFull(17))
        router = Router(Ring(("a", "b", "c")), transport, SystemClock(), random.Random(1))
        change = Change(Kind.UPDATE, b"{}")
        if certain:
            with pytest.raises(TooManyKeyed) as full:
                await router.change("ada", change, key="key")
            assert full.value.retry_after_s == 17
        else:
            with pytest.raises(Unavailable) as unavailable:
                await router.change("ada", change, key="key")
            assert unavailable.value.applied is Applied.UNKNOWN

    asyncio.run(scenario())
