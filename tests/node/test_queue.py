"""One operation at a time per key."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from ddb.node.consensus.key_queue import KeyQueue, TurnTooLate
from ddb.record.state import State
from ddb.record.version import Dot

KEY, OTHER = b"key", b"other"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 10))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Worker:
    """Takes a turn, says so, and keeps it until told to go."""

    def __init__(self, queue: KeyQueue, name: str, log: list[str], key: bytes = KEY) -> None:
        self.go = asyncio.Event()
        self.task = asyncio.ensure_future(self._work(queue, name, log, key))

    async def _work(self, queue: KeyQueue, name: str, log: list[str], key: bytes) -> None:
        async with queue.turn(key):
            log.append(name)
            await self.go.wait()


def test_turns_come_in_order_of_arrival() -> None:
    """Whoever asked first is served first, one at a time, and the last leaves nothing behind."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        workers = [Worker(queue, str(number), log) for number in range(5)]
        await settle()
        assert log == ["0"]
        assert queue.length(KEY) == 4
        for number, worker in enumerate(workers):
            worker.go.set()
            await settle()
            assert log == [str(each) for each in range(min(number + 2, 5))]
        assert queue.length(KEY) == 0
        assert repr(queue) == "<KeyQueue 0 keys>"

    run(scenario())


def test_keys_do_not_wait_for_each_other() -> None:
    """A turn on one key holds up no other."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        one = Worker(queue, "one", log)
        other = Worker(queue, "other", log, OTHER)
        await settle()
        assert log == ["one", "other"]
        for worker in (one, other):
            worker.go.set()
            await worker.task

    run(scenario())


def test_newcomer_does_not_overtake_whoever_was_called() -> None:
    """A turn that was handed on but not yet taken is not free for a newcomer."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        queue.enter(KEY)
        waiter = Worker(queue, "waiter", log)
        await settle()
        queue.leave(KEY)
        assert not queue.free(KEY)
        newcomer = Worker(queue, "newcomer", log)
        await settle()
        assert log == ["waiter"]
        for worker in (waiter, newcomer):
            worker.go.set()
            await worker.task
        assert log == ["waiter", "newcomer"]

    run(scenario())


@pytest.mark.parametrize("which", [1, 2, 3])
def test_cancelled_waiter_is_passed_over(which: int) -> None:
    """A waiter that gives up, first in line or last, holds up nobody behind it."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        workers = [Worker(queue, str(number), log) for number in range(4)]
        await settle()
        workers[which].task.cancel()
        for number, worker in enumerate(workers):
            worker.go.set()
            if number != which:
                await worker.task
        assert log == [str(number) for number in range(4) if number != which]
        assert queue.free(KEY)

    run(scenario())


def test_waiter_cancelled_as_its_turn_comes_hands_it_on() -> None:
    """A turn that reaches a waiter together with its cancellation goes to the next."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        queue.enter(KEY)
        gone, kept = Worker(queue, "gone", log), Worker(queue, "kept", log)
        await settle()
        queue.leave(KEY)
        gone.task.cancel()
        kept.go.set()
        await kept.task
        assert log == ["kept"]
        assert gone.task.cancelled()
        assert queue.free(KEY)

    run(scenario())


def test_turn_ends_however_its_holder_does() -> None:
    """A holder that fails or is cancelled frees its key like one that is done."""

    async def scenario() -> None:
        queue = KeyQueue()

        async def fails() -> None:
            async with queue.turn(KEY):
                raise LookupError

        with pytest.raises(LookupError):
            await fails()
        assert queue.free(KEY)
        holder = Worker(queue, "holder", [])
        await settle()
        holder.task.cancel()
        await settle()
        assert queue.free(KEY)

    run(scenario())


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_of_comings_and_goings(seed: int) -> None:
    """Under random holds and cancellations turns stay exclusive and in order, and none is lost."""

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
            rest = iter(asked[key])
            assert all(number in rest for number in served[key])
        finished = {number for number, end in enumerate(ended) if end is None}
        assert finished <= {*served[KEY], *served[OTHER]}

    run(scenario())


class Reader:
    """Waits to read, and says what it got: a word, or the turn."""

    def __init__(self, queue: KeyQueue, since: float, log: list[str]) -> None:
        self.task = asyncio.ensure_future(self._read(queue, since, log))

    async def _read(self, queue: KeyQueue, since: float, log: list[str]) -> None:
        async with queue.turn(KEY, since) as word:
            log.append(f"{since:.0f} {'has the turn' if word is None else word.body.decode()}")


def test_what_is_decided_answers_those_who_waited_to_read_since_before() -> None:
    """A reader that came later, or in that moment, and a change have their turns all the same."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        queue.enter(KEY)
        readers = [Reader(queue, since, log) for since in (1.0, 2.0, 3.0)]
        worker = Worker(queue, "change", log)
        await settle()
        queue.resolve_reads(KEY, 2.0, State((Dot(1, 1),), True, b"decided"))
        await settle()
        assert log == ["1 decided"]
        queue.resolve_reads(KEY, 2.0, State((Dot(2, 1),), True, b"decided again"))
        queue.leave(KEY)
        await settle()
        assert log == ["1 decided", "2 has the turn", "3 has the turn", "change"]
        worker.go.set()
        await asyncio.gather(worker.task, *(reader.task for reader in readers))
        assert repr(queue) == "<KeyQueue 0 keys>"

    run(scenario())


def test_reader_of_a_free_key_has_the_turn() -> None:
    """Where nobody is there to tell it anything, it keeps others waiting as a change does."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        async with queue.turn(KEY, 1.0) as word:
            assert word is None
            worker = Worker(queue, "change", log)
            await settle()
            assert log == []
        worker.go.set()
        await worker.task

    run(scenario())


@pytest.mark.parametrize("told", [False, True])
def test_reader_that_gives_up_as_it_is_called_hands_on_only_what_it_has(told: bool) -> None:
    """A turn that comes together with the cancellation goes to the next; a word is no turn."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        queue.enter(KEY)
        gone = Reader(queue, 1.0, log)
        worker = Worker(queue, "change", log)
        await settle()
        if told:
            queue.resolve_reads(KEY, 2.0, State((Dot(1, 1),), True, b"decided"))
        else:
            queue.leave(KEY)
        gone.task.cancel()
        await settle()
        assert gone.task.cancelled()
        assert log == ([] if told else ["change"])
        if told:
            queue.leave(KEY)
        worker.go.set()
        await worker.task
        assert queue.free(KEY)

    run(scenario())


def test_change_whose_turn_does_not_come_in_time_is_refused() -> None:
    """It gets no turn any more, and the next in line does."""

    async def scenario() -> None:
        queue, log = KeyQueue(), list[str]()
        queue.enter(KEY)

        async def change() -> None:
            async with queue.turn(KEY, within_s=0.01):
                log.append("had a turn")

        late, kept = asyncio.ensure_future(change()), Worker(queue, "kept", log)
        with pytest.raises(TurnTooLate):
            await late
        queue.leave(KEY)
        kept.go.set()
        await kept.task
        assert log == ["kept"]
        assert queue.free(KEY)

    run(scenario())


def test_change_that_would_wait_too_long_is_refused_at_once() -> None:
    """How long turns take, and how many wait, tells so; a short queue is joined."""

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


def test_one_long_turn_hardly_counts() -> None:
    """A turn that met a silent partner does not have those behind it refused."""

    async def scenario() -> None:
        queue = KeyQueue()

        async def hold(seconds: float) -> None:
            async with queue.turn(KEY):
                await asyncio.sleep(seconds)

        await asyncio.gather(hold(0.0), hold(0.08), hold(0.0), hold(0.0))
        assert queue.expected_s(KEY) < 0.02

    run(scenario())
