"""Notice the end of the process that started this one."""

import asyncio
import os
from collections.abc import Callable


def notify_of_exit(pipe: int, notify: Callable[[], None]) -> None:
    """Call `notify` once the parent has closed its end of `pipe`.

    The parent alone has that end, so the system closes it when the parent ends in any way.
    """
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(pipe, 4096):
            loop.remove_reader(pipe)
            notify()

    loop.add_reader(pipe, readable)
