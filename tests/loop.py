"""Scenarios on the event loop that the processes use, with time limits."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

SOON = 5.0
"""Seconds. Too low: fails on a busy machine. Too high: a failing test takes long."""
_SCENARIO_TIMEOUT_S = 20.0
"""Too low: fails on a busy machine. Too high: a stuck scenario blocks the run."""


def run(scenario: Coroutine[Any, Any, None], timeout_s: float = _SCENARIO_TIMEOUT_S) -> None:
    """Run a scenario. Raises TimeoutError if it does not end in time."""
    uvloop.run(asyncio.wait_for(scenario, timeout_s))


async def until(condition: Callable[[], bool], seconds: float = SOON) -> None:
    """Wait until the condition is true. Raises AssertionError on timeout."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        await asyncio.sleep(0.002)


async def turns(count: int = 5, seconds: float = 0.0) -> None:
    """Let the loop run `count` times, at intervals of `seconds`."""
    for _ in range(count):
        await asyncio.sleep(seconds)
