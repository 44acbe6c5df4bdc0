"""Changes that wait for one record, and the times that end requests, rounds and waits."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from pathlib import Path

import pytest

from ddb.record.change import Kind, Outcome
from ddb.record.version import Dot
from ddb.wire.messages import (
    ChangeResult,
    CoordinateGet,
    Overloaded,
    Rejected,
    Reply,
    Request,
    Undecided,
)
from ddb.wire.ports import Silent
from ddb.wire.timeouts import DEFAULT_BUDGET_S, Timeouts
from tests.fakes.cell import CLOCK, KEY, OTHER_HOME
from tests.fakes.transport import Asked, FakeTransport
from tests.loop import run, turns
from tests.node.test_combiner import (
    BASE,
    COMBINER,
    FAR_S,
    OLD,
    Cell,
    all_reply,
    cell_at,
    change_of,
    from_other_home_after,
)

SLOWNESS = 8
"""Times the shipped timeouts. Too low: fails on a busy machine. Too high: the tests take long."""
TIMEOUTS = Timeouts.of(SLOWNESS * DEFAULT_BUDGET_S)
EARLY_S = SLOWNESS * 0.074
"""The time left of a change that may begin, and whose deadline comes soon."""
LATE_S = SLOWNESS * 0.06
"""The time left of a change that came too late to begin on arrival."""


class TimedTransport(FakeTransport):
    """Ends a request as a link does: after its timeout, or at its deadline."""

    timeouts = 1.0
    """Timeouts that it waits: more than one for a node that replies to other requests."""

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        asked = super().ask(to, request, deadline=deadline, timeout_s=timeout_s)
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Reply] = loop.create_future()

        def end() -> None:
            if not reply.done():
                reply.set_exception(Silent(to))

        def end_with(asked: asyncio.Future[Reply]) -> None:
            timer.cancel()
            if not reply.done() and not asked.cancelled():
                error = asked.exception()
                if error is None:
                    reply.set_result(asked.result())
                else:
                    reply.set_exception(error)

        wait_s = min(timeout_s * self.timeouts, deadline - CLOCK.now())
        timer = loop.call_later(max(0.0, wait_s) + 0.002, end)
        asked.add_done_callback(end_with)
        return reply


@pytest.fixture(autouse=True)
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the cells of a test the transport that ends requests."""
    monkeypatch.setattr("tests.node.test_combiner.FakeTransport", TimedTransport)


async def delayed(seconds: float, handling: Awaitable[Reply]) -> Reply:
    """Return a reply after some seconds."""
    await asyncio.sleep(seconds)
    return await handling


async def rejected() -> Reply:
    """Reply that another coordinator has a promise."""
    return Rejected(Dot(BASE.newest.counter, 77), BASE.newest)


def slow_down(cell: Cell, seconds: float, rejecting_until: float = 0.0) -> None:
    """Delay all replies of the cell. Peers reject proposals until a time of the clock."""
    plain = cell.transport.replies

    def reply(asked: Asked) -> Awaitable[Reply]:
        if CLOCK.now() < rejecting_until:
            return delayed(SLOWNESS * 0.012, rejected())
        handling = plain(asked)
        assert isinstance(handling, Awaitable)
        return delayed(seconds, handling)

    cell.transport.replies = reply


def test_an_early_deadline_is_no_failure_of_a_peer(tmp_path: Path) -> None:
    """A request that the deadline of one change ends leaves peers and other changes alone."""

    async def scenario(cell: Cell) -> None:
        await cell.store(standby=BASE)
        slow_down(cell, SLOWNESS * 0.030, rejecting_until=CLOCK.now() + SLOWNESS * 0.05)
        lefts = (0.072, 0.078, 0.084)
        async with cell.busy():
            answers = [
                cell.ask(change_of(number), left_s)
                for number, left_s in enumerate((*(SLOWNESS * each for each in lefts), FAR_S), 1)
            ]
        replies = await asyncio.gather(*answers)
        assert isinstance(replies[-1], ChangeResult), replies
        assert not cell.home.coordinator._peers._failed_at

    with cell_at(tmp_path, all_reply, TIMEOUTS) as cell:
        run(scenario(cell))


def test_little_time_is_no_failure_of_a_peer(tmp_path: Path) -> None:
    """A change or a read with little time left says nothing about a peer that it waits for."""

    async def scenario(cell: Cell) -> None:
        await cell.store()
        reading = cell.home.fast_read.get(CoordinateGet(KEY), CLOCK.now() + SLOWNESS * 0.03)
        assert isinstance(reading, Awaitable)
        assert isinstance(await reading, Undecided)
        assert isinstance(await cell.ask(change_of(1), SLOWNESS * 0.03), Undecided)
        assert not cell.home.coordinator._peers._failed_at

    with cell_at(tmp_path, partial(from_other_home_after, FAR_S), TIMEOUTS) as cell:
        run(scenario(cell))


def test_changes_without_a_round_have_their_own_deadlines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal waits for a peer until its own deadline, not until that of another change."""
    monkeypatch.setattr(TimedTransport, "timeouts", 3.0)

    async def scenario(cell: Cell) -> None:
        await cell.store()
        async with cell.busy():
            early = cell.ask(change_of(1, Kind.CREATE, OLD), EARLY_S)
            other = cell.ask(change_of(2, Kind.CREATE, OLD))
        assert isinstance(await early, Undecided)
        assert await other == ChangeResult(Outcome.EXISTS, OLD)

    with cell_at(tmp_path, partial(from_other_home_after, FAR_S), TIMEOUTS) as cell:
        run(scenario(cell))


def test_changes_with_little_time_share_a_round(tmp_path: Path) -> None:
    """Changes that were sent again together are decided together."""

    async def scenario(cell: Cell) -> None:
        await cell.store()
        slow_down(cell, SLOWNESS * 0.008)
        async with cell.busy():
            answers = [cell.ask(change_of(number), LATE_S) for number in range(1, 17)]
        assert {type(each) for each in await asyncio.gather(*answers)} == {ChangeResult}
        assert cell.rounds == 1

    with cell_at(tmp_path, all_reply, TIMEOUTS) as cell:
        run(scenario(cell))


def test_estimate_rises_with_the_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose rounds are slow refuses at once the changes that would wait too long."""
    monkeypatch.setattr(COMBINER + "MAX_COMBINED_CHANGES", 2)

    async def scenario(cell: Cell) -> None:
        await cell.store()
        slow_down(cell, SLOWNESS * 0.02)
        async with cell.busy():
            answers = [cell.ask(change_of(number)) for number in range(1, 11)]
        await asyncio.gather(*answers)
        change = cell.home.fast_write.change
        handled = [change(change_of(number), CLOCK.now() + FAR_S) for number in range(11, 131)]
        assert any(isinstance(each, Overloaded) for each in handled)
        await asyncio.gather(*(each for each in handled if isinstance(each, asyncio.Future)))

    with cell_at(tmp_path, all_reply, TIMEOUTS) as cell:
        run(scenario(cell))


def test_estimate_falls_with_quick_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick rounds end the refusals that earlier slow turns caused."""
    monkeypatch.setattr(COMBINER + "MAX_COMBINED_CHANGES", 2)

    async def scenario(cell: Cell) -> None:
        await cell.store()
        cell.home.coordinator.queue._mean_turn_s = TIMEOUTS.turn_s
        for _ in range(20):
            async with cell.busy():
                answers = [cell.ask(change_of(number)) for number in (1, 2)]
            assert {type(each) for each in await asyncio.gather(*answers)} == {ChangeResult}
        async with cell.busy():
            answers = [cell.ask(change_of(number)) for number in range(3, 11)]
        await asyncio.gather(*answers)

    with cell_at(tmp_path, all_reply, TIMEOUTS) as cell:
        run(scenario(cell))


def test_turn_without_changes_leaves_the_estimate(tmp_path: Path) -> None:
    """A turn whose changes all came too late says nothing about the next ones."""

    async def scenario(cell: Cell) -> None:
        await cell.store()
        queue = cell.home.coordinator.queue
        queue._mean_turn_s = 0.01
        async with cell.busy():
            answer = cell.ask(change_of(1), 0.03)
            await asyncio.sleep(0.05)
        assert isinstance(await answer, Overloaded)
        await turns()
        assert cell.idle
        assert queue._mean_turn_s == 0.01

    with cell_at(tmp_path, all_reply, TIMEOUTS) as cell:
        run(scenario(cell))


def test_refused_changes_take_no_memory(tmp_path: Path) -> None:
    """A newcomer removes the changes before it that have their refusal or lost their caller."""

    async def scenario(cell: Cell) -> None:
        await cell.store()
        async with cell.busy():
            for number in range(1, 101):
                answer = cell.ask(change_of(number), 0.01)
                if number % 2:
                    answer.cancel()
            await asyncio.sleep(0.05)
            last = cell.ask(change_of(101))
            crowd = cell.home.fast_write._combiner._crowds[KEY]
            assert [each.answer for each in crowd.waiting] == [last]
        assert isinstance(await last, ChangeResult)

    with cell_at(tmp_path, all_reply, TIMEOUTS) as cell:
        run(scenario(cell))


def test_silent_home_has_failed(tmp_path: Path) -> None:
    """A peer without a reply for a whole timeout has failed, and the standby decides."""

    async def scenario(cell: Cell) -> None:
        await cell.store(standby=BASE)
        async with cell.busy():
            answer = cell.ask(change_of(1))
        assert isinstance(await answer, ChangeResult)
        assert set(cell.home.coordinator._peers._failed_at) == {OTHER_HOME}

    with cell_at(tmp_path, partial(from_other_home_after, FAR_S), TIMEOUTS) as cell:
        run(scenario(cell))
