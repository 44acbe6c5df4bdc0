"""A voting node on a real store; its peers are connected and fail every request."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from ddb.node.membership.identity import Stage, mint
from ddb.node.node import Node
from ddb.node.storage.rocksdb import RocksStore
from ddb.ring.ring import Ring
from ddb.runtime.system_clock import SystemClock
from ddb.settings import Fsync
from ddb.wire.messages import Boot
from ddb.wire.ports import Silent, Unreachable
from tests.fakes.transport import FakeTransport, fails

NAMES = ("db-0", "db-1", "db-2", "db-3")
RING = Ring(NAMES)


@asynccontextmanager
async def voting(
    path: Path, failure: type[Silent | Unreachable] = Unreachable
) -> AsyncIterator[tuple[Node, RocksStore]]:
    """Run the first node by name. Yield it with its store.

    `failure`: the error of each request to a peer.
    """
    store, rng = RocksStore(path, Fsync.OS), random.Random(1)
    identity = msgspec.structs.replace(mint(NAMES[0], NAMES, rng), stage=Stage.READY)
    try:
        boot = Boot(identity.node_id, 1, (1,), 0)
        node = Node(identity, boot, RING, store, FakeTransport(fails(failure)), SystemClock(), rng)
        for peer in NAMES[1:]:
            node.confirmation.confirm(peer)
        yield node, store
    finally:
        store.close()
