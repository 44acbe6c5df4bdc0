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
from tests.fakes.transport import FakeTransport, fails_after, in_turn

RING = Ring(("a", "b", "c"))


@pytest.mark.parametrize("late", [None, ReadReplica, ReadVersion])
@pytest.mark.parametrize("given_up", [False, True])
def test_no_failure_of_a_home_is_left_for_the_log(
    late: type[Request] | None, given_up: bool
) -> None:
    """After both homes fail a read, asyncio logs no unread exception.

    `late`: the type of request that fails 10 ms later than the others; None: all fail at once.
    """
    unread: list[dict[str, Any]] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: unread.append(context))
        transport = FakeTransport(
            lambda asked: fails_after(0.01 if type(asked.request) is late else 0, asked)
        )
        router = Router(RING, transport, SystemClock(), random.Random(1))
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
        transport = FakeTransport(in_turn(*before, LogFull(17)))
        router = Router(RING, transport, SystemClock(), random.Random(1))
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
