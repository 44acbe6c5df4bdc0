"""The fallback: the coordinator answers a request that callbacks cannot."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from ddb.wire.messages import Reply
from ddb.wire.ports import Silent, Unreachable

Answer = asyncio.Future[Reply]


class Fallback:
    """Runs one task per request that is left to the coordinator."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Reply]] = set()

    def start(self, answer: Answer, work: Coroutine[Any, Any, Reply]) -> None:
        """Answer with the result of `work`, or with its error."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._finish, answer))

    def _finish(self, answer: Answer, task: asyncio.Task[Reply]) -> None:
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
        return f"<Fallback {len(self._tasks)} requests>"


def reply_of(asked: asyncio.Future[Reply]) -> Reply | Unreachable | None:
    """Return the result of a request, or None if the peer may have acted without a reply.

    Raises any error other than `Silent` and `Unreachable`.
    """
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
