"""Noticing that the process that started this one has gone."""

import asyncio
import os
from collections.abc import Callable


def gone(pipe: int, tell: Callable[[], None]) -> None:
    """Call `tell` once the other end of `pipe`, held by the parent alone, is closed."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(pipe, 4096):
            loop.remove_reader(pipe)
            tell()

    loop.add_reader(pipe, readable)
