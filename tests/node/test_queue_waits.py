"""The key queue: waits that a decided state ends, and how long they take."""

import asyncio

import pytest

from ddb.node.consensus.key_queue import KeyQueue
from ddb.record.state import State
from ddb.record.version import Dot
from tests.loop import run, turns
from tests.node.queued import KEY, Reader, Worker


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


def test_expected_wait_follows_the_queue_and_the_mean_turn() -> None:
    """The queue estimates a wait from its length and the mean turn; a free key has none."""

    async def scenario() -> None:
        queue = KeyQueue()

        async def hold(seconds: float) -> None:
            async with queue.turn(KEY):
                await asyncio.sleep(seconds)

        await asyncio.gather(*(hold(0.002) for _ in range(60)))
        assert queue.expected_s(KEY) == 0.0
        queue.enter(KEY)
        one = queue.expected_s(KEY)
        assert one > 0.001
        holders = [asyncio.ensure_future(hold(0.0)) for _ in range(20)]
        await asyncio.sleep(0)
        assert queue.expected_s(KEY) == pytest.approx(21 * one)
        assert queue.expected_s(KEY, 3) == pytest.approx(24 * one)
        queue.leave(KEY)
        await asyncio.gather(*holders)
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
        queue.enter(KEY)
        assert queue.expected_s(KEY) < 0.02

    run(scenario())
