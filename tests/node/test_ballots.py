"""The counters that a node issues, and the ceiling on its disk."""

from pathlib import Path

from ddb.node.replica.ballots import CEILING_KEY, Ballots
from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import Family
from ddb.record.version import NEVER
from ddb.runtime.system_clock import SystemClock
from tests.node.stored import on_a_store

ME = 1
AHEAD = 1 << 60
"""A counter above every one from the present wall clock."""


def ceiling(store: RocksStore) -> int:
    return int.from_bytes(store.get(Family.META, CEILING_KEY) or b"", "big")


def test_the_last_counter_issued_is_covered_by_the_disk(tmp_path: Path) -> None:
    """The last counter issued is never above the durable ceiling."""

    async def scenario(store: RocksStore) -> None:
        ballots = Ballots(ME, store, SystemClock())
        assert ballots.issued == 0
        assert ballots.issue_now(NEVER) is None
        assert ballots.issued == 0
        ballot = await ballots.issue(NEVER)
        assert ballots.issued == ballot.counter <= ceiling(store)
        now = ballots.issue_now(NEVER)
        assert now is not None
        assert ballots.issued == now.counter <= ceiling(store)

    on_a_store(tmp_path, scenario)


def test_an_observed_counter_is_not_issued(tmp_path: Path) -> None:
    """An observed counter raises the next ballots, but not the last one issued."""

    async def scenario(store: RocksStore) -> None:
        ballots = Ballots(ME, store, SystemClock())
        first = await ballots.issue(NEVER)
        ballots.observe(AHEAD)
        assert ballots.counter == AHEAD
        assert ballots.issued == first.counter
        assert (await ballots.issue(NEVER)).counter > AHEAD

    on_a_store(tmp_path, scenario)


def test_after_a_restart_the_last_counter_issued_is_the_floor(tmp_path: Path) -> None:
    """A restarted node has issued nothing above its floor."""

    async def scenario(store: RocksStore) -> None:
        first = await Ballots(ME, store, SystemClock()).issue(NEVER)
        again = Ballots(ME, store, SystemClock())
        assert first.counter <= again.issued == again.floor == ceiling(store)

    on_a_store(tmp_path, scenario)
