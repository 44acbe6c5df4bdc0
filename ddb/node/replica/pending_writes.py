"""Writes under way: which keys have states that are not durable yet, and who waits for them."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

from ddb.node.storage.store import Put, Store, written
from ddb.wire.messages import Reply
from ddb.wire.ports import Handling


class PendingWrites:
    """What a replica has given its store and cannot speak of yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: dict[bytes, asyncio.Future[None]] = {}
        self._batches: dict[asyncio.Future[None], list[bytes]] = {}

    def commit(self, key: bytes, puts: Sequence[Put]) -> bool:
        """Whether the store has taken them; where not, whoever waits for the key is told."""
        future = self._pending[key] = self._store.commit(puts)
        together = self._batches.get(future)
        if together is None:
            self._batches[future] = [key]
            future.add_done_callback(self._ended)
        else:
            together.append(key)
        return not future.done()

    def durable(self, key: bytes) -> asyncio.Future[None] | None:
        """What to wait for before telling anyone of the key's state; None where it is durable."""
        return self._pending.get(key)

    def said(self, key: bytes, reply: Reply, also: asyncio.Future[None] | None = None) -> Handling:
        """`reply`, once what is held of `key` at this moment, and `also`, is durable."""
        pending = self._pending.get(key)
        if also is not None:
            return _after(reply, pending, also)
        if pending is None:
            return reply
        said: asyncio.Future[Reply] = pending.get_loop().create_future()
        pending.add_done_callback(partial(_tell, said, reply))
        return said

    def tell(self, key: bytes, answer: asyncio.Future[Reply], reply: Reply) -> None:
        """Answer with `reply`, once what is held of `key` now is durable."""
        pending = self._pending.get(key)
        if pending is None:
            _tell(answer, reply)
        else:
            pending.add_done_callback(partial(_tell, answer, reply))

    async def key_durable(self, key: bytes) -> None:
        """Wait until what is held of `key` at this moment is durable."""
        await written(self._pending.get(key))

    async def keys_durable(self, keys: Iterable[bytes]) -> None:
        """Wait until what is held of all these keys at this moment is durable."""
        for pending in dict.fromkeys(self._pending[key] for key in keys if key in self._pending):
            await written(pending)

    async def all_durable(self) -> None:
        """Wait until everything held at this moment is durable."""
        for pending in dict.fromkeys(self._pending.values()):
            await written(pending)

    def _ended(self, future: asyncio.Future[None]) -> None:
        keys, pending = self._batches.pop(future), self._pending
        if future.exception() is None:
            for key in keys:
                if pending.get(key) is future:
                    del pending[key]

    def __repr__(self) -> str:
        return f"<Writes {len(self._pending)} keys, {len(self._batches)} batches>"


def _tell(
    said: asyncio.Future[Reply], reply: Reply, commit: asyncio.Future[None] | None = None
) -> None:
    failure = commit.exception() if commit is not None else None
    if said.done():
        return
    if failure is not None:
        said.set_exception(failure)
    else:
        said.set_result(reply)


async def _after(reply: Reply, *commits: asyncio.Future[None] | None) -> Reply:
    for commit in commits:
        await written(commit)
    return reply
