"""The key queue: one operation at a time per key."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from ddb.node.consensus.key_queue import KeyQueue, TurnTooLate
from ddb.record.state import State
from ddb.record.version import Dot
from tests.loop import turns

KEY, OTHER = b"key", b"other"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 10))


class Worker:
    """Takes a turn, logs its name, and keeps the turn until `go` is set."""

    def __init__(self, queue: KeyQueue, name: str, log: list[str], key: bytes = KEY) -> None:
        self.go = asyncio.Event()
        self.task = asyncio.ensure_future(self._work(queue, name, log, key))

    async def _work(self, queue: KeyQueue, name: str, log: list[str], key: bytes) -> None:
        async with queue.turn(key):
            log.append(name)
            await self.go.wait()


def test_turns_come_in_order_of_arrival() -> None:
    """Operations have turns one at a time in order of arrival; the last leaves the key free."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        workers = [Worker(queue, str(number), log) for number in range(5)]
        await turns()
        assert log == ["0"]
        assert queue.length(KEY) == 4
        for number, worker in enumerate(workers):
            worker.go.set()
            await turns()
            assert log == [str(each) for each in range(min(number + 2, 5))]
        assert queue.length(KEY) == 0
        assert repr(queue) == "<KeyQueue 0 keys>"

    run(scenario())


def test_keys_do_not_wait_for_each_other() -> None:
    """A turn on one key delays no operation on another."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        one = Worker(queue, "one", log)
        other = Worker(queue, "other", log, OTHER)
        await turns()
        assert log == ["one", "other"]
        for worker in (one, other):
            worker.go.set()
            await worker.task

    run(scenario())


def test_newcomer_does_not_overtake_the_next_operation() -> None:
    """A key whose turn has passed to a waiting operation is not free for a newcomer."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        queue.enter(KEY)
        waiter = Worker(queue, "waiter", log)
        await turns()
        queue.leave(KEY)
        assert not queue.free(KEY)
        newcomer = Worker(queue, "newcomer", log)
        await turns()
        assert log == ["waiter"]
        for worker in (waiter, newcomer):
            worker.go.set()
            await worker.task
        assert log == ["waiter", "newcomer"]

    run(scenario())


@pytest.mark.parametrize("which", [1, 2, 3])
def test_cancelled_waiter_is_passed_over(which: int) -> None:
    """A cancelled waiter, first in line or last, delays no operation behind it."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        workers = [Worker(queue, str(number), log) for number in range(4)]
        await turns()
        workers[which].task.cancel()
        for number, worker in enumerate(workers):
            worker.go.set()
            if number != which:
                await worker.task
        assert log == [str(number) for number in range(4) if number != which]
        assert queue.free(KEY)

    run(scenario())


def test_waiter_cancelled_as_its_turn_comes_hands_it_on() -> None:
    """A turn that comes together with the cancellation goes to the next waiter."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        queue.enter(KEY)
        cancelled, waiting = Worker(queue, "cancelled", log), Worker(queue, "waiting", log)
        await turns()
        queue.leave(KEY)
        cancelled.task.cancel()
        waiting.go.set()
        await waiting.task
        assert log == ["waiting"]
        assert cancelled.task.cancelled()
        assert queue.free(KEY)

    run(scenario())


def test_turn_ends_with_its_operation() -> None:
    """An operation that fails or is cancelled frees its key like one that succeeds."""

    async def scenario() -> None:
        queue = KeyQueue()

        async def fails() -> None:
            async with queue.turn(KEY):
                raise LookupError

        with pytest.raises(LookupError):
            await fails()
        assert queue.free(KEY)
        holder = Worker(queue, "holder", [])
        await turns()
        holder.task.cancel()
        await turns()
        assert queue.free(KEY)

    run(scenario())


@pytest.mark.parametrize("seed", range(20))
def test_random_arrivals_and_cancellations(seed: int) -> None:
    """Under random turns and cancellations, turns stay exclusive and in order, and none is lost."""

    async def scenario() -> None:
        rng, queue = random.Random(seed), KeyQueue()
        holders: dict[bytes, int] = {KEY: 0, OTHER: 0}
        asked: dict[bytes, list[int]] = {KEY: [], OTHER: []}
        served: dict[bytes, list[int]] = {KEY: [], OTHER: []}

        async def work(number: int, key: bytes) -> None:
            asked[key].append(number)
            async with queue.turn(key):
                holders[key] += 1
                assert holders[key] == 1
                served[key].append(number)
                try:
                    for _ in range(rng.randrange(3)):
                        await asyncio.sleep(0)
                finally:
                    holders[key] -= 1

        tasks = []
        for number in range(200):
            tasks.append(asyncio.ensure_future(work(number, rng.choice((KEY, OTHER)))))
            if rng.random() < 0.4:
                rng.choice(tasks).cancel()
            if rng.random() < 0.5:
                await asyncio.sleep(0)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ended} == {type(None), asyncio.CancelledError}
        for key in (KEY, OTHER):
            assert queue.free(key)
            arrivals = iter(asked[key])
            assert all(number in arrivals for number in served[key])
        finished = {number for number, end in enumerate(ended) if end is None}
        assert finished <= {*served[KEY], *served[OTHER]}

    run(scenario())


class Reader:
    """Waits to read, and logs its result: a decided state, or the turn."""

    def __init__(self, queue: KeyQueue, received_at: float, log: list[str]) -> None:
        self.task = asyncio.ensure_future(self._read(queue, received_at, log))

    async def _read(self, queue: KeyQueue, received_at: float, log: list[str]) -> None:
        async with queue.turn(KEY, received_at) as state:
            result = "has the turn" if state is None else state.body.decode()
            log.append(f"{received_at:.0f} {result}")


def test_decided_state_answers_reads_that_arrived_before_the_round() -> None:
    """A read that arrived later or at the same time, and a change, still have their turns."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        queue.enter(KEY)
        readers = [Reader(queue, received_at, log) for received_at in (1.0, 2.0, 3.0)]
        worker = Worker(queue, "change", log)
        await turns()
        queue.resolve_reads(KEY, 2.0, State((Dot(1, 1),), True, b"decided"))
        await turns()
        assert log == ["1 decided"]
        queue.resolve_reads(KEY, 2.0, State((Dot(2, 1),), True, b"decided again"))
        queue.leave(KEY)
        await turns()
        assert log == ["1 decided", "2 has the turn", "3 has the turn", "change"]
        worker.go.set()
        await asyncio.gather(worker.task, *(reader.task for reader in readers))
        assert repr(queue) == "<KeyQueue 0 keys>"

    run(scenario())


def test_reader_of_a_free_key_has_the_turn() -> None:
    """A read of a free key takes the turn and delays others, as a change does."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        async with queue.turn(KEY, 1.0) as state:
            assert state is None
            worker = Worker(queue, "change", log)
            await turns()
            assert log == []
        worker.go.set()
        await worker.task

    run(scenario())


@pytest.mark.parametrize("answered", [False, True])
def test_cancelled_read_passes_on_only_a_turn(answered: bool) -> None:
    """A turn that comes together with the cancellation goes to the next; a state is no turn."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        queue.enter(KEY)
        cancelled = Reader(queue, 1.0, log)
        worker = Worker(queue, "change", log)
        await turns()
        if answered:
            queue.resolve_reads(KEY, 2.0, State((Dot(1, 1),), True, b"decided"))
        else:
            queue.leave(KEY)
        cancelled.task.cancel()
        await turns()
        assert cancelled.task.cancelled()
        assert log == ([] if answered else ["change"])
        if answered:
            queue.leave(KEY)
        worker.go.set()
        await worker.task
        assert queue.free(KEY)

    run(scenario())


def test_change_without_a_turn_in_time_is_refused() -> None:
    """The queue refuses the change, and its turn goes to the next operation."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        queue.enter(KEY)

        async def change() -> None:
            async with queue.turn(KEY, within_s=0.01):
                log.append("had a turn")

        late, waiting = asyncio.ensure_future(change()), Worker(queue, "waiting", log)
        with pytest.raises(TurnTooLate):
            await late
        queue.leave(KEY)
        waiting.go.set()
        await waiting.task
        assert log == ["waiting"]
        assert queue.free(KEY)

    run(scenario())


def test_change_that_would_wait_too_long_is_refused_at_once() -> None:
    """The queue estimates the wait from its length and the mean turn; a short queue admits."""

    async def scenario() -> None:
        queue = KeyQueue()

        async def hold(seconds: float) -> None:
            async with queue.turn(KEY):
                await asyncio.sleep(seconds)

        await asyncio.gather(*(hold(0.002) for _ in range(60)))
        assert queue.expected_s(KEY) > 0.001
        holders = [asyncio.ensure_future(hold(0.002)) for _ in range(20)]
        await asyncio.sleep(0)
        began = asyncio.get_running_loop().time()
        with pytest.raises(TurnTooLate, match="20 operations"):
            async with queue.turn(KEY, within_s=0.01):
                pass
        assert asyncio.get_running_loop().time() - began < 0.01
        async with queue.turn(KEY, within_s=5.0):
            pass
        await asyncio.gather(*holders)
        assert queue.free(KEY)
        assert repr(queue) == "<KeyQueue 0 keys>"

    run(scenario())


def test_one_long_turn_hardly_raises_the_mean() -> None:
    """After one turn with a silent peer the queue does not refuse the changes behind it."""

    async def scenario() -> None:
        queue = KeyQueue()

        async def hold(seconds: float) -> None:
            async with queue.turn(KEY):
                await asyncio.sleep(seconds)

        await asyncio.gather(hold(0.0), hold(0.08), hold(0.0), hold(0.0))
        assert queue.expected_s(KEY) < 0.02

    run(scenario())
