"""A scenario on a real store."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path

from ddb.node.storage.rocksdb import RocksStore
from ddb.settings import Fsync


def on_a_store(path: Path, scenario: Callable[[RocksStore], Awaitable[None] | None]) -> None:
    """Run a scenario on the loop of a store, and close the store."""

    async def whole() -> None:
        store = RocksStore(path, Fsync.OS)
        try:
            handling = scenario(store)
            if inspect.isawaitable(handling):
                await handling
        finally:
            store.close()

    asyncio.run(whole())
