"""How many operations are in flight, what waits before them, and how they are refused."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from ddb.gateway.routing.admission import LEAST_WAIT, TAIL, Admission
from ddb.gateway.routing.gate import MOST_CREDIT, MOST_DUE, REFUSED_PER_ANSWER, Gate, Kind, Refusals
from ddb.gateway.routing.limit import ENOUGH, QUICK, SLOW, WINDOW_S, Limit, Range
from ddb.runtime.system_clock import SystemClock
from ddb.wire.timeouts import Timeouts
from tests.loop import turns

BUDGET_S = 0.2
PER_S = 1000.0
RANGE = Range(4, 20, 100)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 10))


def taught(limit: Limit, share: float, windows: int, *, crowded: bool) -> int:
    """The limit after some windows of operations that take this share of the budget."""
    now = 0.0
    for _ in range(windows):
        now += 2 * WINDOW_S
        for _ in range(ENOUGH):
            limit.learn(now, share * BUDGET_S, crowded)
    return limit.most


def test_limit_falls_while_operations_are_slow_but_not_below_the_fewest() -> None:
    """The limit falls while operations are slow."""
    once = taught(Limit(BUDGET_S, RANGE), 1.1 * SLOW, 1, crowded=True)
    assert RANGE.fewest < once < RANGE.first
    assert taught(Limit(BUDGET_S, RANGE), 2 * SLOW, 20, crowded=True) == RANGE.fewest


def test_limit_rises_only_while_operations_wait() -> None:
    """Quick operations let more in, where there are more."""
    assert taught(Limit(BUDGET_S, RANGE), QUICK / 2, 50, crowded=False) == RANGE.first
    once = taught(Limit(BUDGET_S, RANGE), QUICK / 2, 1, crowded=True)
    assert RANGE.first < once < RANGE.most
    assert taught(Limit(BUDGET_S, RANGE), QUICK / 2, 50, crowded=True) == RANGE.most


def test_limit_stays_between_slow_and_quick() -> None:
    """Between the two bounds a limit has settled."""
    assert taught(Limit(BUDGET_S, RANGE), (SLOW + QUICK) / 2, 50, crowded=True) == RANGE.first


def test_limit_shrinks_once_in_a_window() -> None:
    """Many refusals at one moment count as one."""
    limit = Limit(BUDGET_S, RANGE)
    for _ in range(10):
        limit.shrink(1.0)
    assert limit.most == RANGE.first // 2
    limit.shrink(1.0 + WINDOW_S)
    assert limit.most == RANGE.first // 4


def test_change_that_would_end_late_does_not_wait_so_long() -> None:
    """A change waits the less, the longer the operations in flight take."""
    timeouts = Timeouts.of(BUDGET_S)
    for mean, longest_s in (
        (0.0, timeouts.admission_s),
        (0.5 / TAIL, 0.5 * BUDGET_S),
        (0.9 / TAIL, LEAST_WAIT * BUDGET_S),
    ):
        admission = Admission(SystemClock(), timeouts, random.Random(1))
        taught(admission.limit, mean, 1, crowded=True)
        assert admission.longest_wait_s() == pytest.approx(longest_s)


def test_places_go_to_those_who_wait_in_order() -> None:
    """A newcomer does not overtake an operation that waits."""

    async def scenario() -> None:
        gate, log = Gate(1), list[int]()

        async def wait(number: int) -> None:
            assert await gate.wait(5.0, Kind.READ)
            log.append(number)

        assert gate.enter()
        tasks = [asyncio.ensure_future(wait(number)) for number in range(3)]
        await turns()
        assert not gate.enter()
        for number in range(3):
            gate.leave()
            assert not gate.enter()
            await turns()
            assert log == list(range(number + 1))
        gate.leave()
        assert (gate.inside, gate.waiting) == (0, 0)
        await asyncio.gather(*tasks)

    run(scenario())


def test_operation_that_waited_too_long_is_refused_and_takes_no_place() -> None:
    """What has expired is passed over as a place comes free."""

    async def scenario() -> None:
        gate = Gate(1)
        assert gate.enter()
        late = asyncio.ensure_future(gate.wait(0.01, Kind.READ))
        kept = asyncio.ensure_future(gate.wait(5.0, Kind.READ))
        assert not await late
        gate.leave()
        assert await kept
        assert (gate.inside, gate.waiting) == (1, 0)

    run(scenario())


@pytest.mark.parametrize("as_it_comes", [False, True])
def test_cancelled_operation_leaves_no_place_taken(as_it_comes: bool) -> None:
    """A place that comes together with the cancellation goes to the next."""

    async def scenario() -> None:
        gate = Gate(1)
        assert gate.enter()
        gone = asyncio.ensure_future(gate.wait(5.0, Kind.READ))
        kept = asyncio.ensure_future(gate.wait(5.0, Kind.READ))
        await turns()
        if as_it_comes:
            gate.leave()
        gone.cancel()
        await turns()
        if not as_it_comes:
            gate.leave()
        assert await kept
        assert (gate.inside, gate.waiting) == (1, 0)

    run(scenario())


def test_kinds_take_turns_where_both_wait() -> None:
    """Reads that wait do not hold up changes, and changes do not hold up reads."""

    async def scenario() -> None:
        gate, log = Gate(1), list[Kind]()

        async def wait(kind: Kind, *, first: bool = False) -> None:
            assert await gate.wait(5.0, kind, first=first)
            log.append(kind)

        assert gate.enter()
        kinds = [Kind.READ] * 4 + [Kind.CHANGE] * 2
        tasks = [asyncio.ensure_future(wait(kind)) for kind in kinds]
        await turns()
        for _ in kinds:
            gate.leave()
            await turns()
        await asyncio.gather(*tasks)
        assert log == [Kind.CHANGE, Kind.READ] * 2 + [Kind.READ] * 2

    run(scenario())


def test_change_that_waited_for_its_record_goes_first() -> None:
    """It passes the changes that wait, and no read."""

    async def scenario() -> None:
        gate, log = Gate(1), list[str]()

        async def wait(name: str, *, first: bool = False) -> None:
            assert await gate.wait(5.0, Kind.CHANGE, first=first)
            log.append(name)

        assert gate.enter()
        tasks = [asyncio.ensure_future(wait("early"))]
        await turns()
        tasks.append(asyncio.ensure_future(wait("first", first=True)))
        await turns()
        for _ in tasks:
            gate.leave()
            await turns()
        await asyncio.gather(*tasks)
        assert log == ["first", "early"]

    run(scenario())


def test_refusals_that_wait_are_bounded() -> None:
    """Beyond `MOST_DUE` the oldest leaves at once, and a vanished client costs no credit."""

    async def scenario() -> None:
        refusals = Refusals(0.0)
        spent = [asyncio.ensure_future(refusals.turn()) for _ in range(int(MOST_CREDIT))]
        await asyncio.gather(*spent)
        due = [asyncio.ensure_future(refusals.turn()) for _ in range(MOST_DUE + 3)]
        await turns(1)
        assert [each.done() for each in due[:4]] == [False] * 4
        await turns()
        assert [each.done() for each in due[:4]] == [True] * 3 + [False]
        for each in due[3:-1]:
            each.cancel()
        await turns()
        for _ in range(round(1 / REFUSED_PER_ANSWER)):
            refusals.earn()
        await turns()
        assert due[-1].done()

    run(scenario())


def test_refusals_keep_pace_with_answers() -> None:
    """Beyond the credit, refusals come as operations are answered, and slowly without answers."""

    async def scenario() -> None:
        refusals = Refusals(PER_S)
        refused = [asyncio.ensure_future(refusals.turn()) for _ in range(int(MOST_CREDIT) + 10)]
        await turns()
        assert sum(each.done() for each in refused) == MOST_CREDIT
        answers = 2
        for _ in range(round(answers / REFUSED_PER_ANSWER)):
            refusals.earn()
        await turns()
        assert sum(each.done() for each in refused) == MOST_CREDIT + answers
        # Without any answer, all are refused in time.
        await asyncio.gather(*refused)

    run(scenario())


def test_record_without_changes_takes_no_memory() -> None:
    """A record's gate goes with its last change, and not before."""

    async def scenario() -> None:
        admission = Admission(SystemClock(), Timeouts.of(BUDGET_S), random.Random(1))
        gate = admission.record(b"key")
        assert gate.enter()
        admission.forget_record(b"key", gate)
        assert admission.record(b"key") is gate
        admission.leave_record(b"key", gate, 0.0)
        assert admission.record(b"key") is not gate

    run(scenario())


@pytest.mark.parametrize("full", ["record", "points"])
def test_change_without_a_place_waits_and_leaves_nothing_behind(full: str) -> None:
    """A change enters at once only where both places are free, and holds none while it waits."""

    async def scenario() -> None:
        clock = SystemClock()
        admission = Admission(clock, Timeouts.of(BUDGET_S), random.Random(1))
        key = b"key"
        if full == "points":
            admission.points.most, first = 1, b"another"
        else:
            admission.of_one_record.most, first = 1, key
        gate = admission.enter(first)
        assert gate is not None
        assert admission.enter(key) is None
        assert (gate.inside, admission.points.inside) == (1, 1)
        assert repr(admission).endswith("1 records>")
        arrived = clock.now()
        waiting = asyncio.ensure_future(admission.wait(key, arrived))
        late = asyncio.ensure_future(admission.wait(key, arrived - BUDGET_S))
        pace = await late
        assert pace is (admission.refusals if full == "points" else admission.hot_refusals)
        assert not waiting.done()
        admission.leave_change(first, gate, arrived)
        place = await waiting
        assert isinstance(place, tuple)
        assert arrived <= place[1] <= clock.now()
        assert admission.points.inside == place[0].inside == 1
        admission.leave_change(key, *place)
        assert (admission.points.inside, place[0].inside) == (0, 0)
        assert repr(admission).endswith("0 records>")

    run(scenario())


def test_time_in_the_socket_counts() -> None:
    """While the loop is late, a request counts as arrived before it was read."""

    async def scenario() -> None:
        clock = SystemClock()
        admission = Admission(clock, Timeouts.of(BUDGET_S), random.Random(1))
        admission.arrived()
        assert admission.points.enter()
        await asyncio.sleep(0.015)
        lag = 0.05
        end = clock.now() + lag
        while clock.now() < end:
            pass
        # The probe is due, and runs before this one goes on.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert clock.now() - admission.arrived() >= lag / 2

    run(scenario())
