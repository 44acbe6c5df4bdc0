"""Plans of reads while a standby hands off its hints and drops them.

A returning home gets the writes that it has missed. Shortly afterwards the standby drops its hints.
A reader that asks the home too early and the standby too late gets these writes from neither.
"""

import random
from collections.abc import Sequence

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import HOME, PARTNER, STANDBY, Script

_WRITER, _READER = range(2)
"""The gateways: the first reaches all nodes, the second at times not the home that stayed."""
_CYCLES = 6


def homecoming(seed: int, rng: random.Random) -> Plan:
    """Let clients read as a home returns, while few processes reach the home that stayed."""
    return rng.choice((_whole, _whole, _single, _relay))(seed, rng)


def _whole(seed: int, rng: random.Random) -> Plan:
    """Let a gateway LIST and COUNT while its requests to the standby take longer."""
    script = Script(rng)
    records = _begin(script)
    pace = rng.choice((0.001, 0.003))
    at = 0.03
    for _ in range(_CYCLES):
        returns, stays = rng.sample((HOME, PARTNER), 2)
        back = _absence(script, at, returns, records)
        if rng.random() < 0.8:
            # A random loss rarely hits the one moment that matters, so lose all messages.
            unreachable_at = rng.choice((at, back - 0.002 + 0.008 * rng.random()))
            lasts = back + 0.04 - unreachable_at
            script.cause(unreachable_at, FaultKind.BLIND, stays, _READER, lasts=lasts, amount=0.9)
        slow = rng.choice((STANDBY, STANDBY, STANDBY, returns))
        amount = 0.1 + 0.9 * rng.random()
        script.cause(back - 0.01, FaultKind.SLOW_ASK, slow, _READER, lasts=0.05, amount=amount)
        for _ in range(4):
            moment = back - 0.002 + (pace + 0.006) * rng.random()
            script.ask(moment, rng.choice((Action.LIST, Action.COUNT)), _READER)
        at = back + 0.06 + 0.05 * rng.random()
    return _homecoming(seed, script, records, pace)


def _single(seed: int, rng: random.Random) -> Plan:
    """Let the returned home decide reads with the standby, since the homes are cut off.

    Afterwards it decides a change, so that next time it has an old copy of its own.
    """
    script = Script(rng)
    records = _begin(script)
    pace = rng.choice((0.006, 0.012))
    returns, stays = rng.sample((HOME, PARTNER), 2)
    at = 0.03
    for _ in range(_CYCLES):
        back = _absence(script, at, returns, records)
        lasts = back + 0.04 - at
        script.cause(at, FaultKind.CUT, returns, stays, lasts=lasts)
        script.cause(at, FaultKind.BLIND, stays, _READER, lasts=lasts, amount=0.9)
        amount = 0.1 + 0.9 * rng.random()
        script.cause(back - 0.01, FaultKind.SLOW_WAY, returns, STANDBY, lasts=0.05, amount=amount)
        for _ in range(4):
            moment = back + 0.004 + (pace + 0.006) * rng.random()
            script.ask(moment, Action.GET, _READER, rng.randrange(records))
        script.ask(back + 0.025, script.write(0.4, 0.1), _READER, rng.randrange(records))
        at = back + 0.06 + 0.05 * rng.random()
    return _homecoming(seed, script, records, pace)


def _relay(seed: int, rng: random.Random) -> Plan:
    """Let one home leave as the other returns, so only the standby has the missed writes.

    The standby may fail to hand them off while all others reach the returned home. Or it has many
    hints, and hands off the record that changes again before the others.
    """
    script = Script(rng)
    records, changes = rng.choice(((3, (1, 1, 2)), (10, (10,))))
    for number in range(records):
        script.ask(0.0, Action.POST, _WRITER, number)
    pace = rng.choice((0.003, 0.01))
    at = 0.03
    for _ in range(_CYCLES):
        returns, stays = rng.sample((HOME, PARTNER), 2)
        back = _absence(script, at, returns, records, changes)
        leaves = back + rng.choice((-0.002, 0.002, 0.006))
        lasts = 0.08
        script.cause(leaves, FaultKind.ISOLATE, stays, lasts=lasts)
        fault = rng.choice((FaultKind.CUT, FaultKind.SLOW_WAY, None))
        if fault is not None:
            moment = back + 0.012 * rng.random()
            script.cause(moment, fault, STANDBY, returns, lasts=0.07, amount=0.02)
        for _ in range(rng.choice((0, 1, 2))):
            moment = leaves + lasts * rng.random()
            script.ask(moment, script.write(0.4, 0.4), _WRITER, rng.randrange(records))
        for _ in range(5):
            moment = leaves + 0.01 + 0.05 * rng.random()
            script.ask(moment, rng.choice((Action.LIST, Action.COUNT, Action.COUNT)), _WRITER)
        at = leaves + lasts + 0.02 + 0.06 * rng.random()
    # One hint at a time, or the first batch would hand off all of them.
    return _homecoming(seed, script, records, pace, batch=1)


def _begin(script: Script) -> int:
    """Create some of the records; return the number of ids."""
    records = script.rng.choice((1, 1, 3))
    for number in range(records):
        if script.rng.random() < 0.6:
            script.ask(0.0, Action.POST, _WRITER, number)
    return records


def _absence(
    script: Script, at: float, returns: int, records: int, changes: Sequence[int] = (1, 1, 2)
) -> float:
    """Let clients write while a home is away; return the time of its return."""
    rng, lasts = script.rng, 0.05 + 0.05 * script.rng.random()
    script.cause(at, FaultKind.ISOLATE, returns, lasts=lasts)
    for _ in range(rng.choice(changes)):
        moment = at + 0.01 + 0.6 * lasts * rng.random()
        script.ask(moment, script.write(0.4, 0.3), _WRITER, rng.randrange(records))
    return at + lasts


def _homecoming(seed: int, script: Script, records: int, pace: float, batch: int = 16) -> Plan:
    rng = script.rng
    return script.plan(
        seed,
        records=records,
        skew=rng.choice((0.0, 1.0)),
        fsync=rng.choice((0.0003, 0.001)),
        turned={
            "ddb.wire.timeouts.DEFAULT.peer_s": 0.01,
            "ddb.wire.timeouts.DEFAULT.coordinator_s": 0.02,
            "ddb.wire.timeouts.DEFAULT.scan_s": 0.02,
            "ddb.gateway.listing.count.MAX_RANGE_READS": rng.choice((0, 0, 48)),
            # Below 0, COUNT takes all tallies before it reads any range.
            "ddb.gateway.listing.count.CHEAP_RANGE_READ_ROWS": rng.choice((-1, -1, 2000)),
            "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": pace,
            "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": pace,
            "ddb.node.repair.handoff.HOME_TIMEOUT_S": 0.006,
            "ddb.node.repair.handoff_pacing.IDLE_BATCH_HINTS": batch,
            "ddb.node.repair.handoff_pacing.BUSY_BATCH_HINTS": batch,
            # Otherwise the standby hands off long after the reads.
            "ddb.node.repair.handoff_pacing.BUSY_PAUSE_FACTOR": 0.1,
            "ddb.wire.link.PING_INTERVAL_S": 0.004,
            "ddb.wire.in_flight.SWEEP_INTERVAL_S": 0.002,
            "ddb.wire.link.SUSPECT_AFTER_S": 0.03,
        },
        datagrams=rng.random() < 0.5,
    )
