"""The replica on a real store, where the simulation cannot tell what is seen from outside."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
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


def test_what_a_failed_store_refuses_does_not_count(tmp_path: Path) -> None:
    """Once the disk has failed neither tallies nor hints change, and whoever waits is told."""
    ring = Ring(NAMES)
    key = key_of("ada")
    cell = ring.cell(key)

    async def scenario(store: RocksStore, name: str) -> None:
        replica = Acceptor(name, ring, store, Ballots(1, store, SystemClock()))
        replica.offer(key, encode(State((Dot(1 << 40, 1),), True, b"{}")))
        await replica.writes.all_durable()
        before = (replica.tallies.packed(), replica.hints.total)
        store._group.fail(StoreFailed("the disk is gone"))
        for counter in (2 << 40, 3 << 40):
            replica.offer(key, encode(State((Dot(counter, 1),), False)))
            pending = replica.writes.durable(key)
            assert pending is not None
            with pytest.raises(StoreFailed, match="the disk is gone"):
                await pending
        if name == cell.standby:
            assert not replica.drop(key, Dot(1 << 40, 1), Dot(4 << 40, 1))
        assert (replica.tallies.packed(), replica.hints.total) == before

    for name in NAMES:
        store = RocksStore(tmp_path / name, Fsync.OS)
        asyncio.run(scenario(store, name))
        store.close()


@pytest.mark.parametrize(
    "wait",
    [
        pytest.param(lambda replica: replica.writes.key_durable(KEY), id="for a key"),
        pytest.param(lambda replica: replica.writes.all_durable(), id="for everything"),
        pytest.param(lambda replica: replica.hand([(KEY, STATE)]), id="to say what it holds"),
    ],
)
def test_one_that_gives_up_waiting_leaves_the_others_waiting(
    tmp_path: Path, wait: Callable[[Acceptor], Coroutine[Any, Any, object]]
) -> None:
    """Of several that wait for the same write one may be cancelled, as when a node stops."""
    ring = Ring(NAMES)

    async def scenario(store: RocksStore) -> None:
        replica = Acceptor(ring.cell(KEY).home, ring, store, Ballots(1, store, SystemClock()))
        replica.offer(KEY, STATE)
        impatient, patient = (asyncio.ensure_future(wait(replica)) for _ in range(2))
        await asyncio.sleep(0)
        assert impatient.cancel()
        await patient
        assert replica.writes.durable(KEY) is None

    store = RocksStore(tmp_path / "home", Fsync.ALWAYS)
    asyncio.run(scenario(store))
    store.close()
