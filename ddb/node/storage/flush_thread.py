"""A thread for the one thing that a node must not wait for on its loop: the disk.

An executor would do the same at three times the cost, with its futures, work items and locks, and
a flush is asked for thousands of times a second.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

Done = Callable[[Exception | None], None]
_Job = tuple[Callable[[], None], asyncio.AbstractEventLoop, Done]


def attempt(work: Callable[[], None]) -> Exception | None:
    """Do `work`; what it raised, which is for those who wait, or None."""
    try:
        work()
    except Exception as error:  # noqa: BLE001
        # A thread or a loop that dies of it would tell nobody.
        return error
    return None


class Flusher:
    """Runs jobs one by one, in the order in which they were given."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="flush", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], None], done: Done) -> None:
        """Do `work`; `done` is then called on this loop, with what the work raised or None."""
        self._jobs.put((work, asyncio.get_running_loop(), done))

    def close(self) -> None:
        """Finish the jobs given so far and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, loop, done = job
            failure = attempt(work)
            if not loop.is_closed():
                loop.call_soon_threadsafe(done, failure)

    def __repr__(self) -> str:
        return f"<Flusher {self._jobs.qsize()} waiting>"
