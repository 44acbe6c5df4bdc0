"""The simulated disk against RocksDB: both may lose the same writes, and no others."""

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import Family, Put, StoreFailed
from ddb.settings import Fsync
from tests.sim.disk import SimDisk
from tests.sim.loop import SimLoop
from tests.sim.store import SimStore
from tests.sim.writer import batches

_KEYS = st.sampled_from(
    [b"", b"\x00", b"\x00\x01a", b"\x00\x01b", b"\x01", b"\xff\xff", b"\xff" * 4]
)
_VALUES = st.none() | st.binary(max_size=30)
_PUTS = st.lists(st.tuples(st.sampled_from(Family), _KEYS, _VALUES), min_size=1, max_size=5)
_END = b"\xff" * 8
_BATCHES = 400


class Stores(RuleBasedStateMachine):
    """Drives a real store and a simulated one side by side."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._directory = tempfile.TemporaryDirectory()
        self._path = Path(self._directory.name)
        self._disk = SimDisk(self._runner.get_loop(), random.Random(0))
        self._waiting: list[asyncio.Future[None]] = []
        self._runner.run(self._open())

    async def _open(self) -> None:
        self._real = RocksStore(self._path, Fsync.ALWAYS)
        self._simulated = SimStore(self._disk)

    @rule(puts=_PUTS)
    def commit(self, puts: list[Put]) -> None:
        """Commit to both."""

        async def both() -> None:
            self._waiting += [self._real.commit(puts), self._simulated.commit(puts)]

        self._runner.run(both())

    @rule()
    def wait(self) -> None:
        """Wait until all commits are durable, and check that they are."""

        async def durable() -> None:
            await asyncio.wait_for(asyncio.gather(*self._waiting), 10)

        if self._waiting:
            self._runner.run(durable())
            self._waiting.clear()
            assert not self._disk.unsynced

    @rule(family=st.sampled_from(Family), key=_KEYS)
    def get(self, family: Family, key: bytes) -> None:
        """Read a key from both."""
        assert self._real.get(family, key) == self._simulated.get(family, key)

    @rule(family=st.sampled_from(Family), start=_KEYS, stop=_KEYS, limit=st.integers(0, 4))
    def scan(self, family: Family, start: bytes, stop: bytes, limit: int) -> None:
        """Scan both."""

        async def real() -> list[tuple[bytes, bytes]]:
            return self._real.scan(family, start, stop, limit)

        assert self._runner.run(real()) == self._simulated.scan(family, start, stop, limit)

    @rule()
    def reopen(self) -> None:
        """Close both and open them again."""
        self.wait()
        self._runner.run(self._closed())
        self._runner.run(self._open())

    async def _closed(self) -> None:
        self._real.close()
        self._simulated.close()

    @invariant()
    def same(self) -> None:
        """Both have the same values."""
        for family in Family:
            for key in (b"\x00\x01a", b"\x01"):
                assert self._real.get(family, key) == self._simulated.get(family, key)

    def teardown(self) -> None:
        """Close both and remove the directory."""
        self.wait()
        self._runner.run(self._closed())
        self._runner.close()
        self._directory.cleanup()


Stores.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestStores = Stores.TestCase


def _content(store: RocksStore) -> dict[Family, dict[bytes, bytes]]:
    return {family: dict(store.scan(family, b"", _END, 1 << 20)) for family in Family}


def _possible(seed: int, durable: int, rounds: int) -> Iterator[dict[Family, dict[bytes, bytes]]]:
    """Yield contents of the simulated disk after a death with `durable` acknowledged batches."""
    for number in range(rounds):
        disk = SimDisk(SimLoop(random.Random(0)), random.Random(number))
        made = batches(seed, _BATCHES)
        for batch in made[:durable]:
            disk.write(batch)
        disk.sync(durable)
        for batch in made[durable : durable + number]:
            disk.write(batch)
        disk.lose_process()
        yield disk.content()


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_process_leaves_what_the_simulated_one_may(seed: int, tmp_path: Path) -> None:
    """After kill -9 a real store has a prefix of whole batches, with all acknowledged ones."""
    command = [sys.executable, "-m", "tests.sim.writer", str(tmp_path), str(seed), str(_BATCHES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline()]
        time.sleep(random.Random(seed).random() * 0.08)
        child.kill()
        acknowledged += child.stdout.readlines()
    durable = max(int(line) for line in acknowledged if line.endswith(b"\n"))

    async def found() -> dict[Family, dict[bytes, bytes]]:
        store = RocksStore(tmp_path, Fsync.ALWAYS)
        try:
            return _content(store)
        finally:
            store.close()

    content = asyncio.run(found())
    last = int.from_bytes(content[Family.DIGESTS][b"last"], "big") + 1
    assert durable <= last <= _BATCHES
    disk = SimDisk(SimLoop(random.Random(0)), random.Random(0))
    for batch in batches(seed, last):
        disk.write(batch)
    assert content == disk.content()


def test_a_simulated_death_keeps_whole_batches_and_all_that_were_acknowledged() -> None:
    """The simulated disk loses only a tail of batches, and no acknowledged one."""
    for seed in range(8):
        lasts = set()
        for content in _possible(seed, 5, 30):
            last = int.from_bytes(content[Family.DIGESTS][b"last"], "big") + 1
            assert last >= 5
            whole = SimDisk(SimLoop(random.Random(0)), random.Random(0))
            for batch in batches(seed, last):
                whole.write(batch)
            assert content == whole.content()
            lasts.add(last)
        assert len(lasts) > 5


def test_a_full_disk_and_a_failing_one_refuse_for_good() -> None:
    """After a failure all commits fail, and only acknowledged ones are durable."""

    async def fail() -> None:
        for full in (True, False):
            disk = SimDisk(asyncio.get_running_loop(), random.Random(0))
            store = SimStore(disk)
            await store.commit([(Family.META, b"kept", b"1")])
            disk.health.full, disk.health.failing = full, not full
            for _ in range(2):
                with pytest.raises(StoreFailed):
                    await store.commit([(Family.META, b"lost", b"1")])
            disk.health.full = disk.health.failing = False
            with pytest.raises(StoreFailed):
                await store.commit([(Family.META, b"lost", b"1")])
            disk.unsynced.clear()
            assert disk.content()[Family.META] == {b"kept": b"1"}

    asyncio.run(fail())
