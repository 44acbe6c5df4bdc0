"""Group commit: which commits share a flush, where it runs, and how failures end."""

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ddb.node.storage.flush_policy import (
    MIN_CROWD_COMMITS,
    QUICK_FLUSH_S,
    THREAD_FLUSH_PERIOD_S,
)
from ddb.node.storage.group_commit import Fresh, GroupCommit
from ddb.node.storage.store import Family, StoreFailed


class Disk:
    """A disk that records each write and flush, and the thread of each.

    `seconds` is the duration of a flush.
    """

    def __init__(self) -> None:
        self.written: list[dict[bytes, bytes | None]] = []
        self.flushed: list[tuple[int, bool]] = []
        self.failures: list[StoreFailed] = []
        self.seconds = 0.0
        self.time = 1000.0
        self.broken = False
        self._home = threading.get_ident()

    def group(self) -> GroupCommit:
        """Return a group that commits to this disk."""
        return GroupCommit(self.write, self.flush, self.failures.append, lambda: self.time)

    def write(self, fresh: Fresh) -> None:
        """Write one batch."""
        self.written.append(dict(fresh[Family.RECORDS]))

    def flush(self) -> None:
        """Flush everything written so far. Raises OSError where broken."""
        if self.broken:
            raise OSError("the disk is gone")
        self.time += self.seconds
        self.flushed.append((len(self.written), threading.get_ident() == self._home))


def run(scenario: Callable[[Disk, GroupCommit], Coroutine[Any, Any, None]]) -> Disk:
    async def whole() -> Disk:
        disk = Disk()
        group = disk.group()
        try:
            await asyncio.wait_for(scenario(disk, group), 10)
        finally:
            group.close()
        return disk

    return asyncio.run(whole())


def commit(group: GroupCommit, number: int) -> asyncio.Future[None]:
    return group.commit([(Family.RECORDS, b"%d" % number, b"value")])


def test_commits_of_one_turn_share_a_flush() -> None:
    """Commits of one turn of the loop share a write and a flush, which makes all durable."""

    async def scenario(_: Disk, group: GroupCommit) -> None:
        await asyncio.gather(*{commit(group, number) for number in range(10)})

    disk = run(scenario)
    assert [len(batch) for batch in disk.written] == [10]
    assert len(disk.flushed) == 1


def test_a_flush_covers_only_earlier_writes() -> None:
    """A commit during a flush is durable after the next flush and not before."""

    async def scenario(disk: Disk, group: GroupCommit) -> None:
        began, go_on = threading.Event(), threading.Event()
        flush = disk.flush

        def slow() -> None:
            began.set()
            go_on.wait(5)
            flush()

        group._flush = slow
        first = commit(group, 1)
        assert await asyncio.to_thread(began.wait, 5)
        second = commit(group, 2)
        go_on.set()
        await first
        assert not second.done()
        assert disk.flushed == [(1, False)]
        await second
        assert disk.flushed == [(1, False), (2, False)]

    run(scenario)


def test_the_loop_waits_for_a_quick_disk_only() -> None:
    """Flushes run on the loop until one is slow, and for a period after it in the thread."""

    async def scenario(disk: Disk, group: GroupCommit) -> None:
        await commit(group, 1)
        disk.time += THREAD_FLUSH_PERIOD_S
        await commit(group, 2)
        disk.seconds = QUICK_FLUSH_S * 1.1
        await commit(group, 3)
        disk.seconds = 0.0
        await commit(group, 4)
        disk.time += THREAD_FLUSH_PERIOD_S
        await commit(group, 5)

    disk = run(scenario)
    assert [on_loop for _, on_loop in disk.flushed] == [False, True, True, False, True]


def test_a_crowd_gathers(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crowd the next flush waits, and covers the commits that arrive meanwhile."""
    monkeypatch.setattr("ddb.node.storage.group_commit.MAX_GATHER_S", 0.5)

    async def scenario(disk: Disk, group: GroupCommit) -> None:
        await asyncio.gather(*{commit(group, number) for number in range(MIN_CROWD_COMMITS + 1)})
        late = [commit(group, 100)]
        await asyncio.sleep(0.005)
        late.append(commit(group, 101))
        await asyncio.gather(*late)
        assert len(disk.flushed) == 2

    run(scenario)


@pytest.mark.parametrize("on_loop", [True, False])
def test_a_complete_crowd_does_not_wait(on_loop: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush starts at once when as many commits wait as the last one covered."""
    monkeypatch.setattr("ddb.node.storage.group_commit.MAX_GATHER_S", 60.0)

    async def scenario(disk: Disk, group: GroupCommit) -> None:
        disk.time += THREAD_FLUSH_PERIOD_S if on_loop else 0.0
        first = [commit(group, number) for number in range(MIN_CROWD_COMMITS + 1)]
        await asyncio.sleep(0)
        # In the thread, the first flush is still in flight.
        second = [commit(group, 10 + number) for number in range(MIN_CROWD_COMMITS + 1)]
        await asyncio.gather(*{*first, *second})
        third = [commit(group, 20 + number) for number in range(MIN_CROWD_COMMITS)]
        await asyncio.sleep(0.005)
        assert not any(each.done() for each in third)
        await asyncio.gather(*{*third, commit(group, 30)})
        assert disk.flushed == [(number, on_loop) for number in (1, 2, 3)]

    run(scenario)


@pytest.mark.parametrize("on_loop", [True, False])
def test_a_failed_flush_fails_all_later_commits(on_loop: bool) -> None:
    """Commits that wait for a failed flush fail, and so do all later ones."""

    async def scenario(disk: Disk, group: GroupCommit) -> None:
        if on_loop:
            disk.time += THREAD_FLUSH_PERIOD_S
        await commit(group, 1)
        disk.broken = True
        with pytest.raises(StoreFailed, match="the disk is gone"):
            await commit(group, 2)
        disk.broken = False
        with pytest.raises(StoreFailed, match="the disk is gone"):
            await commit(group, 3)
        assert len(disk.failures) == 1
        assert len(disk.flushed) == 1

    run(scenario)


def test_a_failure_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    """A failed commit that no request awaits logs nothing; the node reports the failure."""

    async def scenario(disk: Disk, group: GroupCommit) -> None:
        disk.broken = True
        commit(group, 1)
        await asyncio.sleep(0.1)
        assert disk.failures
        commit(group, 2)
        gc.collect()

    disk = run(scenario)
    assert len(disk.failures) == 1
    assert not caplog.records


class Flushes:
    """A `FlushObserver` that records all reports."""

    def __init__(self) -> None:
        self.seen: list[str | float] = []

    def flush_began(self) -> None:
        """As `FlushObserver.flush_began`."""
        self.seen.append("began")

    def flush_ended(self, seconds: float) -> None:
        """As `FlushObserver.flush_ended`."""
        self.seen.append(round(seconds, 6))


def test_flushes_are_reported() -> None:
    """A flush in the thread is reported at its start, and every flush with its duration."""
    flushes = Flushes()

    async def scenario(disk: Disk, group: GroupCommit) -> None:
        group.observer = flushes
        disk.seconds = QUICK_FLUSH_S / 2
        await commit(group, 1)
        disk.time += THREAD_FLUSH_PERIOD_S
        await commit(group, 2)
        disk.seconds = 0.3
        await commit(group, 3)

    run(scenario)
    assert flushes.seen == ["began", QUICK_FLUSH_S / 2, QUICK_FLUSH_S / 2, 0.3]
