"""The disk monitor on a real loop: it reports in time, and probes an idle disk."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ddb.node.storage.disk_health import GIVE_UP_AFTER, STALLED_AFTER, DiskHealth
from ddb.node.storage.disk_monitor import DiskMonitor
from ddb.node.storage.store import Family, Put
from ddb.runtime.system_clock import SystemClock
from ddb.wire.messages import DiskState
from ddb.wire.timeouts import DEFAULT
from tests.loop import until

LIMIT = 0.05
TIMEOUTS = replace(DEFAULT, flush_overdue_s=LIMIT)
QUICK = 0.001
NOTICED = 0.2
"""Seconds that a busy machine may add."""


@dataclass(slots=True)
class Disk:
    """A store whose flushes a test ends, with all reports of its monitor."""

    seconds: float = 0.0
    committed: list[Put] = field(default_factory=list)
    reports: list[tuple[float, DiskState, bool]] = field(default_factory=list)
    monitor: DiskMonitor = field(init=False)

    def get(self, family: Family, key: bytes) -> bytes | None:
        """As `Store.get`."""
        return None

    def commit(self, puts: Sequence[Put]) -> asyncio.Future[None]:
        """As `Store.commit`, with a flush that takes `seconds`."""
        self.committed += puts
        self.monitor.flush_ended(self.seconds)
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        durable.set_result(None)
        return durable

    def scan(
        self, family: Family, start: bytes, stop: bytes, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """As `Store.scan`."""
        return []

    def disk_bytes(self) -> int:
        """As `Store.disk_bytes`."""
        return 0

    def close(self) -> None:
        """As `Store.close`."""


def run(scenario: Callable[[Disk, DiskMonitor], Coroutine[Any, Any, None]]) -> Disk:
    async def whole() -> Disk:
        disk, clock = Disk(), SystemClock()
        began = clock.now()

        def changed(state: DiskState, give_up: bool) -> None:
            disk.reports.append((clock.now() - began, state, give_up))

        disk.monitor = DiskMonitor("db-0", disk, clock, DiskHealth(TIMEOUTS), changed)
        await asyncio.wait_for(scenario(disk, disk.monitor), 10)
        return disk

    return asyncio.run(whole())


def test_a_flush_that_does_not_end_is_reported_while_it_is_in_flight() -> None:
    """The monitor reports the flush within the limit, and later that its requests should move."""

    async def scenario(disk: Disk, monitor: DiskMonitor) -> None:
        monitor.flush_began()
        await asyncio.sleep(6 * LIMIT)

    reports = run(scenario).reports
    assert [report[1:] for report in reports] == [
        (DiskState.SLOW, False),
        (DiskState.SLOW, True),
        (DiskState.STALLED, False),
    ]
    for (at, *_), due in zip(reports, (1, GIVE_UP_AFTER, STALLED_AFTER), strict=True):
        assert due * LIMIT <= at < due * LIMIT + NOTICED


def test_quick_flushes_are_not_reported() -> None:
    """A timer that one flush has armed does not judge the next flushes."""

    async def scenario(_: Disk, monitor: DiskMonitor) -> None:
        for _number in range(10):
            monitor.flush_began()
            await asyncio.sleep(LIMIT / 5)
            monitor.flush_ended(LIMIT / 5)

    assert run(scenario).reports == []


def test_a_blocked_loop_does_not_blame_the_disk() -> None:
    """The monitor first handles the end of a flush that is queued in the loop."""

    async def scenario(_: Disk, monitor: DiskMonitor) -> None:
        monitor.flush_began()
        await asyncio.sleep(0)
        clock = SystemClock()
        end = clock.now() + 2 * LIMIT
        while clock.now() < end:
            pass
        # The flush ended long ago; its notice is queued after the monitor's timer.
        asyncio.get_running_loop().call_later(0.002, monitor.flush_ended, QUICK)
        await asyncio.sleep(LIMIT)

    assert run(scenario).reports == []


def test_an_idle_slow_disk_is_probed_until_it_is_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without clients, probes show that the disk has recovered, and then stop."""
    monkeypatch.setattr("ddb.node.storage.disk_monitor.PROBE_INTERVAL_S", 0.01)
    monkeypatch.setattr("ddb.node.storage.disk_health.RECOVERY_S", 0.1)

    async def scenario(disk: Disk, monitor: DiskMonitor) -> None:
        disk.seconds = 1.2 * LIMIT
        monitor.flush_ended(2 * LIMIT)
        await asyncio.sleep(0.15)
        assert monitor.state is DiskState.SLOW
        assert len(disk.committed) > 3
        disk.seconds = QUICK
        await until(lambda: monitor.state is DiskState.HEALTHY)
        disk.committed.clear()
        await asyncio.sleep(0.05)
        assert not disk.committed

    states = [state for _, state, _ in run(scenario).reports]
    assert states == [DiskState.SLOW, DiskState.HEALTHY]


def test_a_stalled_disk_gets_no_probes() -> None:
    """A flush in flight is the probe; another would only wait for it."""

    async def scenario(disk: Disk, monitor: DiskMonitor) -> None:
        monitor.flush_began()
        await asyncio.sleep(8 * LIMIT)
        assert not disk.committed

    run(scenario)
