"""The key queue: one operation at a time per key, in order of arrival."""

import asyncio
import random

import pytest

from ddb.node.consensus.key_queue import KeyQueue
from tests.loop import run, turns
from tests.node.queued import KEY, OTHER, Worker


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
