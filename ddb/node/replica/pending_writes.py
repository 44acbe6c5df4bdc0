"""Pending writes: the keys whose newest state is not yet durable.

A replica must not answer with a state that a crash could take back. So a reply waits for the commit
that was newest for its key when the reply was made. Later commits do not delay it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

from ddb.node.storage.store import Put, Store, written
from ddb.wire.messages import Reply
from ddb.wire.ports import Handling


class PendingWrites:
    """Commits in flight to the store, by key."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: dict[bytes, asyncio.Future[None]] = {}
        self._batches: dict[asyncio.Future[None], list[bytes]] = {}

    def commit(self, key: bytes, puts: Sequence[Put]) -> bool:
        """Give `puts`, which change the state of `key`, to the store.

        Returns False where the store has failed: then all who wait for the key get `StoreFailed`.
        """
        future = self._pending[key] = self._store.commit(puts)
        batch = self._batches.get(future)
        if batch is None:
            self._batches[future] = [key]
            future.add_done_callback(self._ended)
        else:
            batch.append(key)
        return not future.done()

    def in_flight(self, key: bytes) -> asyncio.Future[None] | None:
        """The newest commit of a key, None where its state is durable."""
        return self._pending.get(key)

    def reply_when_durable(
        self, key: bytes, reply: Reply, also: asyncio.Future[None] | None = None
    ) -> Handling:
        """Return `reply`, or an awaitable of it while the key's state is not durable.

        Args:
            also: another commit that the reply waits for, or None.
        """
        pending = self._pending.get(key)
        if also is not None:
            return _after(reply, pending, also)
        if pending is None:
            return reply
        answer: asyncio.Future[Reply] = pending.get_loop().create_future()
        pending.add_done_callback(partial(_settle, answer, reply))
        return answer

    def reply_when_all_durable(self, reply: Reply) -> Handling:
        """Return `reply`, or an awaitable of it while some key's state is not durable."""
        pending = dict.fromkeys(self._pending.values())
        return _after(reply, *pending) if pending else reply

    def answer_when_durable(self, key: bytes, answer: asyncio.Future[Reply], reply: Reply) -> None:
        """Resolve `answer` with `reply` once the key's state is durable."""
        pending = self._pending.get(key)
        if pending is None:
            _settle(answer, reply)
        else:
            pending.add_done_callback(partial(_settle, answer, reply))

    async def wait_key(self, key: bytes) -> None:
        """Wait until the key's present state is durable. Raises `StoreFailed`."""
        await written(self._pending.get(key))

    async def wait_keys(self, keys: Iterable[bytes]) -> None:
        """Wait until the present states of all these keys are durable. Raises `StoreFailed`."""
        pending = self._pending
        waiting = filter(pending.__contains__, keys)
        for commit in dict.fromkeys(map(pending.__getitem__, waiting)):
            await written(commit)

    async def wait_all(self) -> None:
        """Wait until all present states are durable. Raises `StoreFailed`."""
        for pending in dict.fromkeys(self._pending.values()):
            await written(pending)

    def _ended(self, future: asyncio.Future[None]) -> None:
        keys, pending = self._batches.pop(future), self._pending
        if future.exception() is None:
            for key in keys:
                if pending.get(key) is future:
                    del pending[key]

    def __repr__(self) -> str:
        return f"<PendingWrites {len(self._pending)} keys, {len(self._batches)} batches>"


def _settle(
    answer: asyncio.Future[Reply], reply: Reply, commit: asyncio.Future[None] | None = None
) -> None:
    failure = commit.exception() if commit is not None else None
    if answer.done():
        return
    if failure is not None:
        answer.set_exception(failure)
    else:
        answer.set_result(reply)


async def _after(reply: Reply, *commits: asyncio.Future[None] | None) -> Reply:
    for commit in commits:
        await written(commit)
    return reply
