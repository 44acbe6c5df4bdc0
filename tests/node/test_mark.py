"""Damage to a store's files: refused at the start, or found by the read that meets it."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from ddb.node.storage import rocksdb_open as rocks_open
from ddb.node.storage.durable_mark import DurableMark, measure, read, write
from ddb.node.storage.rocksdb import MARK_INTERVAL_S, RocksStore
from ddb.node.storage.store import Family, StoreFailed, StoreRefused, Unreadable
from ddb.settings import Fsync
from tests.node.committer import body_of, commit, key_of
from tests.node.test_rocks import TOP, committer

BATCHES = 400
LOG, MANIFEST, TABLE = "*.log", "MANIFEST-*", "*.sst"


def filled(path: Path) -> None:
    """Create a store with `BATCHES` batches and close it."""

    async def fill(store: RocksStore) -> None:
        for number in range(BATCHES):
            await commit(store, number)

    store = RocksStore(path, Fsync.ALWAYS)
    asyncio.run(fill(store))
    store.close()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with tables and a log, whose process was killed just after its last mark."""
    path = tmp_path_factory.mktemp("killed")

    filled(path)
    # Opening moves the log into tables; the process then starts another log.
    with committer(path, Fsync.ALWAYS) as (_, output):
        for line in output:
            mark = read(path) if int(line) > BATCHES else None
            if mark is not None and any(map(mark.files.get, logs(mark))):
                break
    return path


def logs(mark: DurableMark) -> list[str]:
    return [name for name in mark.files if name.endswith(".log")]


@pytest.fixture
def copy(killed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "copy"))


def largest(path: Path, pattern: str) -> Path:
    return max((path / "rocks").glob(pattern), key=lambda file: file.stat().st_size)


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 0xFF
    file.write_bytes(content)


def cut(file: Path, size: int) -> None:
    os.truncate(file, size)


def flip_in_the_middle(file: Path) -> None:
    flip(file, file.stat().st_size // 2)


def flip_near_the_end(file: Path) -> None:
    flip(file, file.stat().st_size - 20)


def cut_in_half(file: Path) -> None:
    cut(file, file.stat().st_size // 2)


def cut_to_nothing(file: Path) -> None:
    cut(file, 0)


def overwrite(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def test_undamaged_store_opens(copy: Path) -> None:
    """The store of a killed process opens with all records, twice in a row."""
    for _ in range(2):
        store = RocksStore(copy, Fsync.ALWAYS)
        assert len(store.scan(Family.RECORDS, b"", TOP, 10**6)) > BATCHES
        store.close()


DAMAGES = (flip_near_the_end, cut_in_half, cut_to_nothing, overwrite, Path.unlink)


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        *product((LOG, MANIFEST, "CURRENT"), DAMAGES),
        *product((LOG, MANIFEST, "CURRENT"), (flip_in_the_middle,)),
    ],
)
def test_damaged_file_is_refused(copy: Path, pattern: str, damage: Callable[[Path], None]) -> None:
    """A changed, truncated or missing file is refused at each start, with the remedy."""
    damage(largest(copy, pattern))
    for _ in range(2):
        with pytest.raises(StoreRefused) as refused:
            RocksStore(copy, Fsync.ALWAYS)
        assert str(copy) in str(refused.value)
        assert "start this node with an empty directory" in str(refused.value)


def test_mark_has_no_part_of_a_write_that_failed(tmp_path: Path) -> None:
    """A log that was measured during a failed write leaves the mark as it is."""

    def in_write(store: RocksStore) -> None:
        # The thread measures the log meanwhile.
        time.sleep(0.2)
        store._group.fail(StoreFailed("no space left on the device"))

    async def fail(store: RocksStore) -> None:
        await commit(store, 0)
        await asyncio.sleep(MARK_INTERVAL_S + 0.2)
        before = read(tmp_path)
        assert before
        await commit(store, 1)
        store._mark()
        in_write(store)
        await asyncio.sleep(0.2)
        assert read(tmp_path) == before

    store = RocksStore(tmp_path, Fsync.ALWAYS)
    asyncio.run(fail(store))
    store.close()


@pytest.fixture(scope="module")
def with_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a killed process, with several logs that are all still needed."""
    path = tmp_path_factory.mktemp("with-logs")
    killed = path / "killed"

    async def fill(store: RocksStore) -> None:
        for number in range(BATCHES):
            await commit(store, number)
        await asyncio.sleep(MARK_INTERVAL_S + 0.2)
        assert read(path / "data")
        shutil.copytree(path / "data", killed)

    with pytest.MonkeyPatch.context() as patched:
        # A full memtable starts a new log; half empty ones of other families need the old log.
        patched.setattr(rocks_open, "WRITE_BUFFER_BYTES", 64 * 1024)
        patched.setattr(rocks_open, "MAX_LOG_BYTES", 1024 * 1024 * 1024)
        store = RocksStore(path / "data", Fsync.ALWAYS)
        asyncio.run(fill(store))
        store.close()
    return killed


def test_log_missing_before_others_is_refused(with_logs: Path, tmp_path: Path) -> None:
    """A store without one of its needed logs is refused, and no other file changes."""
    needed = sorted(log.name for log in (with_logs / "rocks").glob(LOG))
    assert len(needed) > 1
    for number, name in enumerate(needed):
        copy = Path(shutil.copytree(with_logs, tmp_path / str(number)))
        (copy / "rocks" / name).unlink()
        for _ in range(2):
            with pytest.raises(StoreRefused, match="start this node with an empty directory"):
                RocksStore(copy, Fsync.ALWAYS)
    store = RocksStore(with_logs, Fsync.ALWAYS)
    for family in (Family.RECORDS, Family.HINTS):
        assert len(store.scan(family, b"", TOP, 10**6)) == BATCHES
    store.close()


@pytest.mark.parametrize("damage", [flip_in_the_middle, *DAMAGES])
def test_damaged_table_fails_only_its_reads(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A damaged table fails the reads that need it, and no write and no start."""
    filled(tmp_path)
    RocksStore(tmp_path, Fsync.ALWAYS).close()
    damage(largest(tmp_path, TABLE))

    async def scenario() -> None:
        await store.commit([(Family.META, b"a", b"1"), (Family.RECORDS, key_of(0), b"new")])

    for _ in range(2):
        store = RocksStore(tmp_path, Fsync.ALWAYS)
        with pytest.raises(Unreadable, match=r"\.sst"):
            store.scan(Family.RECORDS, b"", TOP, 10**6)
        unreadable = 0
        for number in range(1, BATCHES):
            try:
                assert store.get(Family.RECORDS, key_of(number)) == body_of(number)
            except Unreadable:
                unreadable += 1
        assert (unreadable < BATCHES - 1) is (damage is flip_in_the_middle)
        assert unreadable
        asyncio.run(scenario())
        assert store.get(Family.RECORDS, key_of(0)) == b"new"
        store.close()


def test_damaged_log_with_a_damaged_table_is_refused(killed: Path, tmp_path: Path) -> None:
    """A damaged table does not make RocksDB skip damaged log records."""
    for number, damage in enumerate((flip_in_the_middle, flip_near_the_end)):
        copy = Path(shutil.copytree(killed, tmp_path / str(number)))
        cut_in_half(largest(copy, TABLE))
        damage(largest(copy, LOG))
        for _ in range(2):
            with pytest.raises(StoreRefused, match="start this node with an empty directory"):
                RocksStore(copy, Fsync.ALWAYS)


def test_torn_tail_behind_the_mark_is_accepted(killed: Path, tmp_path: Path) -> None:
    """RocksDB drops an incomplete last record, which was never acknowledged."""
    copy = Path(shutil.copytree(killed, tmp_path / "copy"))
    log = largest(copy, LOG)
    whole = log.read_bytes()
    log.write_bytes(whole + whole[:40])
    store = RocksStore(copy, Fsync.ALWAYS)
    assert len(store.scan(Family.RECORDS, b"", TOP, 10**6)) > BATCHES
    store.close()


def test_tables_without_a_mark_are_not_overwritten(copy: Path) -> None:
    """A directory with tables but without CURRENT is refused, and its files stay."""
    (copy / "mark.json").unlink()
    (copy / "rocks" / "CURRENT").unlink()
    for log in (copy / "rocks").glob(LOG):
        log.unlink()
    before = set((copy / "rocks").iterdir())
    with pytest.raises(StoreRefused, match="CURRENT is missing"):
        RocksStore(copy, Fsync.ALWAYS)
    assert set((copy / "rocks").iterdir()) == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"sequence":"x"}', b"\xff", b'{"\xff":1}'])
def test_unreadable_mark_is_refused(copy: Path, content: bytes) -> None:
    """A store with a malformed mark is refused."""
    (copy / "mark.json").write_bytes(content)
    with pytest.raises(StoreRefused, match=r"mark\.json cannot be read"):
        RocksStore(copy, Fsync.ALWAYS)


def test_mark_reads_as_written(tmp_path: Path) -> None:
    """A mark records the size of every growing file, and replaces the mark before it."""
    assert read(tmp_path) is None
    (tmp_path / "000004.log").write_bytes(b"12345")
    (tmp_path / "MANIFEST-000001").write_bytes(b"1")
    (tmp_path / "000009.sst").write_bytes(b"123")
    mark = measure(tmp_path, 7)
    assert mark.files == {"000004.log": 5, "MANIFEST-000001": 1}
    write(tmp_path, measure(tmp_path, 6))
    write(tmp_path, mark)
    assert read(tmp_path) == mark


def test_mark_that_cannot_be_written_stays_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed update of the mark is logged and fails no write."""
    write(tmp_path / "absent", measure(tmp_path, 1))
    assert "cannot update the durable mark" in caplog.text
