"""The flush thread: work on the disk that the loop must not wait for.

An executor costs three times as much, for its futures, work items and locks. A node flushes
thousands of times a second.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

Done = Callable[[Exception | None], None]
"""Receives the error that the work raised, or None."""
_Job = tuple[Callable[[], None], asyncio.AbstractEventLoop, Done]


def attempt(work: Callable[[], None]) -> Exception | None:
    """Run `work`; return the error that it raised, or None."""
    try:
        work()
    except Exception as error:  # noqa: BLE001
        # An uncaught error would end the thread or the loop without a notice to the waiters.
        return error
    return None


class Flusher:
    """Runs jobs one by one, in the order of their arrival."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="flush", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], None], done: Done) -> None:
        """Run `work` in the thread, then `done` on the loop that calls this."""
        self._jobs.put((work, asyncio.get_running_loop(), done))

    def close(self) -> None:
        """Finish the jobs in the queue and end the thread."""
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
