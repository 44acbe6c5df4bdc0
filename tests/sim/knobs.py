"""Knobs: constants of the production code that the seed of a run may change.

Half of the seeds run with the shipped values. The others have batches of one, tiny queues, and
timeouts that expire without a fault. Safety must not depend on any of these values.
"""

import importlib
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType

from ddb.wire.timeouts import DEFAULT, Timeouts

TIMEOUTS = "ddb.wire.timeouts.DEFAULT."
"""Prefix of the fields of the timeouts that all processes of a run share."""
BUDGET = TIMEOUTS + "request_s"

Knobs = Mapping[str, float | int]
_Owner = ModuleType | Timeouts

EVERYWHERE = "PARTITIONS"
"""Many modules import this constant by name, so a run sets it in each of them."""

_SIZES: dict[str, tuple[float | int, ...]] = {
    "ddb.node.repair.handoff_pacing.IDLE_BATCH_HINTS": (1, 2, 3),
    "ddb.node.repair.handoff_pacing.BUSY_BATCH_HINTS": (1, 2),
    "ddb.node.repair.handoff_pacing.MAX_BATCH_BYTES": (1, 200),
    "ddb.node.repair.handoff_pacing.IDLE_BATCHES_IN_FLIGHT": (1, 2, 5),
    # At 0 a node never expects a client, so it sends batches while clients ask.
    "ddb.node.repair.handoff_pacing.CLIENT_QUIET_S": (0.0,),
    "ddb.node.repair.refill_source.PAGE_ROWS": (1, 2, 3),
    "ddb.node.repair.refill_source.PAGE_BYTES": (1, 200),
    "ddb.node.replica.partition_digests._SCAN_ROWS": (1, 2),
    "ddb.node.repair.rebuild.CHECK_ROWS": (1, 2),
    "ddb.node.consensus.quorum_peers.MAX_DECLINED_RECORDS": (1, 2),
    "ddb.node.replica.acceptor.MAX_PROMISES": (1, 2, 5),
    "ddb.record.keyed_log.SLICE_ENTRIES": (1, 2),
    "ddb.record.keyed_log.SLICE_SPAN": (1, 1 << 16),
    "ddb.node.consensus.dedup_window.ISSUE_GRAIN_S": (0.01, 1.0),
    "ddb.node.replica.ballots.RESERVED_AHEAD": (1 << 16, 20 << 16),
    "ddb.node.scan.MAX_PAGE_BODY_BYTES": (1, 100),
    "ddb.gateway.listing.range_read.MAX_SCAN_ROWS": (1, 2, 5),
    "ddb.gateway.listing.range_read.MAX_CONCURRENT_READS": (1, 2),
    "ddb.gateway.listing.count.MAX_RANGE_READS": (0, 1, 4),
    "ddb.gateway.listing.count.MAX_CONCURRENT_RANGE_READS": (1, 2),
}
_TIMES: dict[str, tuple[float | int, ...]] = {
    "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": (0.005, 0.02, 0.5),
    "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": (0.001, 0.3),
    "ddb.node.repair.handoff.HOME_TIMEOUT_S": (0.002, 0.05),
    "ddb.node.membership.bootstrap.POLL_INTERVAL_S": (0.004, 0.5),
    "ddb.node.membership.bootstrap.PEER_TIMEOUT_S": (0.03,),
    "ddb.node.repair.refill.SOURCE_TIMEOUT_S": (0.03,),
    "ddb.node.repair.rebuild.PEER_TIMEOUT_S": (0.03,),
    "ddb.node.repair.rebuild.CHECK_INTERVAL_S": (0.003, 0.05),
    "ddb.gateway.routing.operation_ids.LINGER_GRACE_S": (0.03,),
    TIMEOUTS + "peer_s": (0.0008, 0.003, 0.01),
    "ddb.node.consensus.proposer.CONTENTION_PAUSE_S": (0.0001, 0.02),
    TIMEOUTS + "hedge_s": (0.001, 0.03),
    "ddb.node.consensus.dedup_window.MAX_KEYED_ENTRIES": (2, 5),
    BUDGET: (0.02, 0.08, 1.0),
    TIMEOUTS + "coordinator_s": (0.0015, 0.005, 0.02),
    TIMEOUTS + "scan_s": (0.003, 0.02),
    "ddb.wire.link.PING_INTERVAL_S": (0.02, 0.3),
    "ddb.node.storage.disk_health.GIVE_UP_AFTER": (1, 8),
    "ddb.node.storage.disk_health.STALLED_AFTER": (1, 2),
    "ddb.node.storage.disk_health.QUICK_FLUSHES": (1, 20),
    "ddb.node.storage.disk_health.RECOVERY_S": (0.0, 0.05),
    "ddb.node.storage.disk_monitor.PROBE_INTERVAL_S": (0.01, 0.5),
}
"""Knobs that the promised times depend on. They get their shipped values once faults are over."""
_OVERDUE = TIMEOUTS + "flush_overdue_s"
"""The plan fits this knob to its disks, so it keeps its value to the end of a run.

With slow disks and the shipped value, no node would ever count as healthy.
"""
_CROWDED = "ddb.node.replica.acceptor.MAX_PROMISES"
"""If this is as small as the number of rounds in flight on a node, the rounds refuse each other.

A full table raises the floor, and the floor refuses the rounds of other records. With slow messages
this never ends.
"""
_SUSPECT = "ddb.wire.link.SUSPECT_AFTER_S"
"""Shorter than the interval of pings, it makes every idle peer suspect."""
_SHIPPED: dict[str, float | int] = {}


def draw(rng: random.Random) -> dict[str, float | int]:
    """Draw the knobs of one seed: half of the seeds change partitions and windows only."""
    knobs: dict[str, float | int] = {EVERYWHERE: rng.choice((2, 8, 32))}
    knobs["ddb.node.consensus.dedup_window.KEYED_WINDOW_S"] = rng.choice((20.0, 600.0))
    knobs["ddb.node.consensus.dedup_window.GATEWAY_WINDOW_S"] = rng.choice((5.0, 60.0))
    if rng.random() < 0.5:
        share = rng.choice((0.2, 0.5, 1.0))
        for name, choices in {**_SIZES, **_TIMES, _OVERDUE: (0.009, 1e9)}.items():
            if rng.random() < share:
                knobs[name] = rng.choice(choices)
    return knobs


def shipped(knobs: Knobs) -> bool:
    """Return whether all knobs that the promised times depend on have their shipped values."""
    return not any(name in knobs for name in (*_TIMES, _CROWDED, _OVERDUE))


def ship(knobs: Knobs) -> None:
    """Give all knobs that the promised times depend on their shipped values."""
    for path in _with_shares(knobs):
        if path == _OVERDUE:
            continue
        if path in _TIMES or path in (_CROWDED, _SUSPECT) or path.startswith(TIMEOUTS):
            for owner, name in _places(path):
                _set(owner, name, _SHIPPED[path])


@contextmanager
def turned(knobs: Knobs) -> Iterator[None]:
    """Set the knobs inside the context."""
    before: list[tuple[_Owner, str, float | int]] = []
    for path, value in _with_shares(knobs).items():
        for owner, name in _places(path):
            shipped: float | int = getattr(owner, name)
            before.append((owner, name, shipped))
            _SHIPPED[path] = shipped
            _set(owner, name, value)
    try:
        yield
    finally:
        for owner, name, was in reversed(before):
            _set(owner, name, was)


def _with_shares(knobs: Knobs) -> Knobs:
    """Add the shares of a changed request budget; without them no operation would begin."""
    if BUDGET not in knobs:
        return knobs
    shares = Timeouts.of(knobs[BUDGET])
    names = ("admission_s", "turn_s", "begin_s")
    return {TIMEOUTS + name: getattr(shares, name) for name in names} | dict(knobs)


def _set(owner: _Owner, name: str, value: float | int) -> None:
    if isinstance(owner, Timeouts):
        # All processes of the run share this object. It is frozen for production code only.
        object.__setattr__(owner, name, value)
    else:
        setattr(owner, name, value)


def _places(path: str) -> list[tuple[_Owner, str]]:
    if path.startswith(TIMEOUTS):
        return [(DEFAULT, path.removeprefix(TIMEOUTS))]
    if path != EVERYWHERE:
        module, _, name = path.rpartition(".")
        return [(importlib.import_module(module), name)]
    return [
        (module, path)
        for name, module in sorted(sys.modules.items())
        if name.startswith("ddb.") and hasattr(module, path)
    ]
