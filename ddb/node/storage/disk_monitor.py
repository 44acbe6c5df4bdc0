"""The disk monitor: times the flushes of a node's store, probes a slow disk, reports changes.

The node that owns the disk measures it, since its callers see only that answers are missing.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from ddb.node.storage.disk_health import DiskHealth
from ddb.node.storage.store import Family, Put
from ddb.wire.messages import DiskState
from ddb.wire.ports import Clock

log = logging.getLogger(__name__)

PROBE_KEY = b"probe"
"""The META key that a probe writes: a flush reaches the disk only with data to write."""
PROBE_INTERVAL_S = 0.1
"""Seconds between probes of a disk that is not healthy.

Too low: probes load a slow disk. Too high: an idle node recovers late.
"""
OWN_STALL_S = 0.01
"""Seconds by which the monitor's timer may be late.

A later timer means that the loop was blocked, so a flush in flight may have ended unnoticed. Too
low: the monitor judges late. Too high: a busy process blames its disk.
"""
_SYMPTOMS = {
    DiskState.SLOW: "slow: a flush is overdue",
    DiskState.STALLED: "stalled: a flush does not end",
}
_REMEDY = (
    "No acknowledged data is lost, and other nodes take this node's requests. Check the disk and"
    " what else uses it: the node returns by itself once flushes are quick"
)


class Committer(Protocol):
    """The part of a store that a probe needs."""

    def commit(self, puts: Sequence[Put]) -> asyncio.Future[None]:
        """As `Store.commit`."""
        ...


class DiskMonitor:
    """Watches the disk of the node `name`, as the `FlushObserver` of its store."""

    def __init__(
        self,
        name: str,
        store: Committer,
        clock: Clock,
        health: DiskHealth,
        changed: Callable[[DiskState, bool], None],
    ) -> None:
        """Start with the state of `health`.

        Args:
            changed: receives each new state, and whether requests in flight move to other nodes.
        """
        self._name = name
        self._store = store
        self._clock = clock
        self._health = health
        self._changed = changed
        self._reported = health.state
        self._worst = health.state
        """The worst state since the disk was healthy."""
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._probe_timer: asyncio.TimerHandle | None = None

    @property
    def state(self) -> DiskState:
        """The state of the last report."""
        return self._reported

    def flush_began(self) -> None:
        """As `FlushObserver.flush_began`."""
        now = self._clock.now()
        self._health.began(now)
        if self._timer is None:
            self._arm(now, 0.0)

    def flush_ended(self, seconds: float) -> None:
        """As `FlushObserver.flush_ended`."""
        self._health.ended(self._clock.now(), seconds)
        if self._health.state is not self._reported:
            self._report(give_up=False)

    def _arm(self, now: float, least: float) -> None:
        """Wake up when the flush in flight becomes overdue, but not before `least` seconds."""
        due = self._health.due(now)
        if due is not None:
            delay = max(due, least)
            self._due = now + delay
            self._timer = asyncio.get_running_loop().call_later(delay, self._check)

    def _check(self) -> None:
        self._timer = None
        now = self._clock.now()
        if now - self._due > OWN_STALL_S:
            # The end of the flush may be queued in the loop, after this call.
            self._arm(now, OWN_STALL_S)
            return
        give_up = self._health.check(now)
        if give_up or self._health.state is not self._reported:
            self._report(give_up)
        # A timer may fire early by its resolution; without a least delay this would spin.
        self._arm(now, 0.001)

    def _report(self, give_up: bool) -> None:
        state = self._health.state
        self._reported = state
        if state is DiskState.HEALTHY:
            self._worst = state
            log.info("%s: its disk is quick again, and it accepts requests as before", self._name)
        elif state > self._worst:
            # Once per outage: stalls that come and go do not fill the log.
            self._worst = state
            log.warning("%s: its disk is %s. %s", self._name, _SYMPTOMS[state], _REMEDY)
        if state is not DiskState.HEALTHY and self._probe_timer is None:
            self._probe_later()
        self._changed(state, give_up)

    def _probe_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._probe_timer = loop.call_later(PROBE_INTERVAL_S, self._probe)

    def _probe(self) -> None:
        """Make the disk flush a key, unless a flush is in flight."""
        self._probe_timer = None
        if self._reported is DiskState.HEALTHY:
            return
        if not self._health.flushing:
            self._store.commit([(Family.META, PROBE_KEY, b"")]).add_done_callback(_end_probe)
        self._probe_later()

    def __repr__(self) -> str:
        return f"<DiskMonitor {self._name} {self._health!r}>"


def _end_probe(probe: asyncio.Future[None]) -> None:
    # The store itself reports a failure, which ends the node.
    if not probe.cancelled():
        probe.exception()
