"""The store on RocksDB: batches, scans, durability and refusals."""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest

from ddb.node.storage.rocksdb import COMPACTION_THREAD_NAME, RocksStore
from ddb.node.storage.store import Family, Put, StoreRefused
from ddb.settings import Fsync
from tests.cluster import ROOT
from tests.node.committer import body_of, key_of

TOP = b"\xff"
KILLS = 4


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    opened = RocksStore(tmp_path / "data", Fsync.ALWAYS)
    yield opened
    opened.close()


@contextmanager
def committer(
    path: Path, fsync: Fsync, *limit: str
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Run a committing process. Yields it and its output; kills it with -9 at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.node.committer", str(path), fsync.value, *limit],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def snapshot(path: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and the change time of every file."""
    return {
        str(file.relative_to(path)): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in path.rglob("*")
        if file.is_file()
    }


# Reading and writing.


def test_batches_are_visible_at_once_and_all_or_nothing(store: RocksStore) -> None:
    """Reads see a commit before it is durable, deletions included."""

    async def scenario() -> None:
        store.commit([(Family.RECORDS, b"a", b"1"), (Family.HINTS, b"a", b"2")])
        assert store.get(Family.RECORDS, b"a") == b"1"
        assert store.get(Family.HINTS, b"a") == b"2"
        assert store.get(Family.META, b"a") is None
        await store.commit([(Family.RECORDS, b"a", None), (Family.RECORDS, b"b", b"")])
        assert store.get(Family.RECORDS, b"a") is None
        assert store.get(Family.RECORDS, b"b") == b""

    run(scenario())


def test_scan_is_a_slice_in_key_order(store: RocksStore) -> None:
    """A scan returns at most `limit` pairs from its start to before its stop."""
    rng = random.Random(4)
    model: dict[bytes, bytes] = {}

    async def scenario() -> None:
        for _ in range(300):
            key = rng.randbytes(rng.randrange(1, 3))
            value = rng.randbytes(3) if rng.random() < 0.7 else None
            puts: list[Put] = [(Family.RECORDS, key, value), (Family.HINTS, key, b"else")]
            store.commit(puts)
            model.pop(key, None)
            if value is not None:
                model[key] = value
            start, stop, limit = rng.randbytes(1), rng.randbytes(1), rng.randrange(20)
            expected = sorted((k, v) for k, v in model.items() if start <= k < stop)
            assert store.scan(Family.RECORDS, start, stop, limit) == expected[:limit]
        await store.commit([])

    run(scenario())
    assert store.scan(Family.RECORDS, b"", TOP * 3, 1000) == sorted(model.items())


@pytest.mark.usefixtures("store")
def test_compaction_leaves_the_processor_to_requests() -> None:
    """Compaction threads run only on an idle processor, unlike the thread of the loop."""
    tasks = list(Path("/proc/self/task").iterdir())
    compacting = [
        task for task in tasks if (task / "comm").read_text().strip() == COMPACTION_THREAD_NAME
    ]
    assert compacting
    for task in compacting:
        assert os.sched_getscheduler(int(task.name)) == os.SCHED_IDLE
    assert os.sched_getscheduler(threading.get_native_id()) != os.SCHED_IDLE


def test_durable_in_the_order_written(store: RocksStore) -> None:
    """Commits become durable in their order, many with one flush."""

    async def scenario() -> None:
        done: list[int] = []

        def note(number: int, _: asyncio.Future[None]) -> None:
            done.append(number)

        futures = []
        for number in range(200):
            future = store.commit([(Family.RECORDS, key_of(number), b"body")])
            future.add_done_callback(partial(note, number))
            futures.append(future)
            if number % 7 == 0:
                await asyncio.sleep(0)
        await asyncio.gather(*futures)
        await asyncio.sleep(0)
        assert done == sorted(done)
        assert len(done) == 200
        assert len(set(map(id, futures))) < 200

    run(scenario())


def test_closed_and_opened_again(tmp_path: Path) -> None:
    """All commits are there after closing, awaited or not."""

    async def scenario(store: RocksStore) -> None:
        store.commit([(Family.META, b"a", b"1")])

    first = RocksStore(tmp_path, Fsync.OS)
    run(scenario(first))
    assert first.disk_bytes() > 0
    first.close()
    again = RocksStore(tmp_path, Fsync.ALWAYS)
    assert again.get(Family.META, b"a") == b"1"
    assert repr(again) == f"<RocksStore {tmp_path} healthy>"
    again.close()


# Refusals.


def test_second_opening_is_refused_and_changes_no_file(tmp_path: Path) -> None:
    """A directory in use is refused, and the open store still works."""

    async def scenario(store: RocksStore) -> None:
        await store.commit([(Family.META, b"a", b"1")])
        before = snapshot(tmp_path)
        with pytest.raises(StoreRefused, match="is in use by another running node"):
            RocksStore(tmp_path, Fsync.ALWAYS)
        assert snapshot(tmp_path) == before
        await store.commit([(Family.META, b"b", b"2")])

    first = RocksStore(tmp_path, Fsync.ALWAYS)
    run(scenario(first))
    first.close()
    RocksStore(tmp_path, Fsync.ALWAYS).close()


def test_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    """The refusal of a path that is a file names the path."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreRefused, match="file cannot be written"):
        RocksStore(tmp_path / "file", Fsync.ALWAYS)
    assert (tmp_path / "file").read_text() == "mine"


# Failure.


@pytest.mark.parametrize("fsync", Fsync)
def test_killed_again_and_again(tmp_path: Path, fsync: Fsync) -> None:
    """After kill -9 all acknowledged batches are there, and every batch is complete.

    Each process starts over from batch 0 in the same directory.
    """
    rng = random.Random(5)
    most = 0
    for _ in range(KILLS):
        acknowledged = -1
        with committer(tmp_path, fsync) as (process, output):
            for line in output:
                acknowledged = int(line)
                if acknowledged >= 100 and rng.random() < 0.005:
                    break
            process.kill()
            acknowledged = max([acknowledged, *map(int, output.read().split())])
        most = max(most, acknowledged)
        store = RocksStore(tmp_path, fsync)
        try:
            records = store.scan(Family.RECORDS, b"", TOP, 10**6)
            assert records == [(key_of(number), body_of(number)) for number in range(len(records))]
            assert len(records) > most
            hints = store.scan(Family.HINTS, b"", TOP, 10**6)
            assert [key for key, _ in hints] == [key for key, _ in records]
            last = store.get(Family.DIGESTS, b"count")
            assert last is not None
            assert acknowledged < int(last) <= acknowledged + 2
        finally:
            store.close()


def test_failed_write_fails_all_later_ones(tmp_path: Path) -> None:
    """After a refused write all later ones fail, and acknowledged batches stay."""
    with committer(tmp_path, Fsync.ALWAYS, str(200_000)) as (_, output):
        acknowledged, _, failure = output.read().partition("{")
    report = json.loads("{" + failure.splitlines()[0])
    assert "File too large" in report["failed"]
    assert report["later"] == [report["failed"]] * 3
    assert set(report["reports"]) == {report["failed"]}
    store = RocksStore(tmp_path, Fsync.ALWAYS)
    records = store.scan(Family.RECORDS, b"", TOP, 10**6)
    store.close()
    assert len(records) >= len(acknowledged.splitlines()) > 100


def test_refused_opening_closes_all_files(tmp_path: Path) -> None:
    """A refused opening leaves no file open."""
    first = RocksStore(tmp_path, Fsync.ALWAYS)
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(5):
        with pytest.raises(StoreRefused):
            RocksStore(tmp_path, Fsync.ALWAYS)
    assert set(Path("/proc/self/fd").iterdir()) == before
    first.close()
