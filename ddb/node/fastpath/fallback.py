"""An answer that callbacks give, or the coordinator where they cannot."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from ddb.wire.messages import Reply
from ddb.wire.ports import Silent, Unreachable

Answer = asyncio.Future[Reply]


class Fallback:
    """The answers that are left to the coordinator, a task each."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Reply]] = set()

    def start(self, answer: Answer, work: Coroutine[Any, Any, Reply]) -> None:
        """Answer with what `work` comes to, its error included."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._worked, answer))

    def _worked(self, answer: Answer, task: asyncio.Task[Reply]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            answer.cancel()
            return
        failure = task.exception()
        if answer.done():
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(task.result())

    def __repr__(self) -> str:
        return f"<PassedOn {len(self._tasks)}>"


def reply_of(asked: asyncio.Future[Reply]) -> Reply | Unreachable | None:
    """What came of a request; None where the partner may have acted without our knowing."""
    if asked.cancelled():
        return None
    failure = asked.exception()
    if failure is None:
        return asked.result()
    if isinstance(failure, Unreachable):
        return failure
    if isinstance(failure, Silent):
        return None
    raise failure
