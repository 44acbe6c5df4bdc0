"""The acceptor on a real store: failures and cancellations beyond the simulation."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.handoff_acceptance import accept_handoff
from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import StoreFailed
from ddb.record.codec import encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import Ring, key_of
from ddb.runtime.system_clock import SystemClock
from ddb.settings import Fsync

NAMES = ("db-0", "db-1", "db-2")
KEY = key_of("ada")
STATE = encode(State((Dot(1 << 40, 1),), True, b"{}"))


def test_refused_writes_do_not_count(tmp_path: Path) -> None:
    """After the disk has failed, digests and hints stay the same, and all waiters fail."""
    ring = Ring(NAMES)
    key = key_of("ada")
    cell = ring.cell(key)

    async def scenario(store: RocksStore, name: str) -> None:
        acceptor = Acceptor(name, ring, store, Ballots(1, store, SystemClock()))
        acceptor.offer(key, encode(State((Dot(1 << 40, 1),), True, b"{}")))
        await acceptor.writes.wait_all()
        before = (acceptor.digests.packed(), acceptor.hints.total)
        store._group.fail(StoreFailed("the disk is gone"))
        for counter in (2 << 40, 3 << 40):
            acceptor.offer(key, encode(State((Dot(counter, 1),), False)))
            pending = acceptor.writes.in_flight(key)
            assert pending is not None
            with pytest.raises(StoreFailed, match="the disk is gone"):
                await pending
        if name == cell.standby:
            assert not acceptor.drop(key, Dot(1 << 40, 1), Dot(4 << 40, 1))
        assert (acceptor.digests.packed(), acceptor.hints.total) == before

    for name in NAMES:
        store = RocksStore(tmp_path / name, Fsync.OS)
        asyncio.run(scenario(store, name))
        store.close()


@pytest.mark.parametrize(
    "wait",
    [
        pytest.param(lambda acceptor: acceptor.writes.wait_key(KEY), id="for a key"),
        pytest.param(lambda acceptor: acceptor.writes.wait_all(), id="for all keys"),
        pytest.param(lambda acceptor: accept_handoff(acceptor, [(KEY, STATE)]), id="for a handoff"),
    ],
)
def test_a_cancelled_waiter_leaves_the_others_waiting(
    tmp_path: Path, wait: Callable[[Acceptor], Coroutine[Any, Any, object]]
) -> None:
    """Several callers wait for one write, and cancelling one affects no other."""
    ring = Ring(NAMES)

    async def scenario(store: RocksStore) -> None:
        acceptor = Acceptor(ring.cell(KEY).home, ring, store, Ballots(1, store, SystemClock()))
        acceptor.offer(KEY, STATE)
        cancelled, other = (asyncio.ensure_future(wait(acceptor)) for _ in range(2))
        await asyncio.sleep(0)
        assert cancelled.cancel()
        await other
        assert acceptor.writes.in_flight(KEY) is None

    store = RocksStore(tmp_path / "home", Fsync.ALWAYS)
    asyncio.run(scenario(store))
    store.close()
