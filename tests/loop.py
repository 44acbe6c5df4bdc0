"""Scenarios on the loop that the processes use, and waiting there for what must come true."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

SOON = 5.0
"""Seconds within which something must come true."""
_LONGEST = 20.0


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario; one that does not end in time fails."""
    uvloop.run(asyncio.wait_for(scenario, _LONGEST))


async def until(what: Callable[[], bool], seconds: float = SOON) -> None:
    """Wait for something to come true, and fail if it does not."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.002)
