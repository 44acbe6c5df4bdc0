"""The deterministic loop and its fences."""

import asyncio
import random
import time
import uuid

import pytest

from tests.sim.fences import Fenced, fenced
from tests.sim.loop import Livelock, SimLoop


def _loop(seed: int = 0) -> SimLoop:
    return SimLoop(random.Random(seed), most_steps=10_000)


def test_time_jumps_to_the_next_timer() -> None:
    """A sleep of an hour takes no real time, and the virtual clock shows the hour."""
    loop = _loop()

    async def main() -> None:
        await asyncio.sleep(3600)

    loop.run(main())
    assert loop.now == pytest.approx(3600)


def test_callbacks_of_one_process_keep_their_order_and_processes_do_not() -> None:
    """The seed decides which process runs next; within one, the oldest callback runs next."""

    def order(seed: int) -> list[str]:
        loop = _loop(seed)
        ran: list[str] = []

        async def main() -> None:
            processes = [loop.process(name) for name in "abc"]
            for number in range(5):
                for process in processes:
                    loop.soon_in(process, ran.append, f"{process.name}{number}")
            await asyncio.sleep(1)

        loop.run(main())
        return ran

    orders = {tuple(order(seed)) for seed in range(20)}
    assert len(orders) > 10
    for ran in orders:
        for name in "abc":
            assert [step for step in ran if step[0] == name] == [f"{name}{n}" for n in range(5)]
    assert order(3) == order(3)


def test_a_killed_process_never_runs_again() -> None:
    """A killed process runs none of its awaits, callbacks or `finally` blocks."""
    loop = _loop()
    ran: list[str] = []

    async def victim() -> None:
        ran.append("began")
        try:
            await asyncio.sleep(2)
        finally:
            ran.append("went on")

    async def main() -> None:
        process = loop.process("victim")
        loop.spawn(process, victim())
        await asyncio.sleep(1)
        loop.kill(process)
        await asyncio.sleep(3)
        assert ran == ["began"]

    loop.run(main())


def test_a_paused_process_goes_on_where_it_was() -> None:
    """A callback that is due during a pause runs at its end."""
    loop = _loop()
    ran: list[float] = []

    async def main() -> None:
        process = loop.process("sleeper")
        loop.later_in(process, 1.0, lambda: ran.append(loop.now))
        loop.pause(process)
        await asyncio.sleep(5)
        assert not ran
        loop.resume(process)
        await asyncio.sleep(1)

    loop.run(main())
    assert ran == [pytest.approx(5)]


def test_a_fuse_ends_a_process_between_any_two_callbacks() -> None:
    """A process with a fuse of n runs n more callbacks after the one that lights it."""
    for fuse in range(4):
        loop = _loop()
        ran: list[int] = []

        async def main(loop: SimLoop = loop, ran: list[int] = ran, fuse: int = fuse) -> None:
            process = loop.process("victim")
            process.fuse, process.on_fuse = fuse, lambda: loop.kill(process)
            for number in range(9):
                loop.soon_in(process, ran.append, number)
            await asyncio.sleep(1)

        loop.run(main())
        assert ran == list(range(fuse + 1))


def test_real_time_and_randomness_are_fenced() -> None:
    """Simulated code that calls real time or randomness gets an error."""

    async def main() -> None:
        for reach in (time.time, time.monotonic, random.random, uuid.uuid4):
            with pytest.raises(Fenced):
                reach()

    with fenced():
        _loop().run(main())
    assert time.time() > 0


def test_a_run_that_gets_nowhere_is_ended() -> None:
    """An endless chain of callbacks is an error, and so is a loop with nothing left to do."""

    async def spins() -> None:
        for _ in range(1_000_000):
            await asyncio.sleep(0)

    async def waits() -> None:
        await asyncio.get_running_loop().create_future()

    for main in (spins, waits):
        with pytest.raises(Livelock):
            _loop().run(main())


def test_an_error_in_a_callback_is_kept_and_the_run_goes_on() -> None:
    """The loop notes a callback's error with its place, and its process goes on."""
    loop = _loop()
    ran: list[str] = []

    def breaks() -> None:
        raise ValueError("broken")

    async def main() -> None:
        process = loop.process("clumsy")
        loop.soon_in(process, breaks)
        loop.soon_in(process, ran.append, "went on")
        await asyncio.sleep(1)

    loop.run(main())
    assert ran == ["went on"]
    assert len(loop.errors) == 1
    assert "ValueError('broken') at test_loop.py:" in loop.errors[0]
