"""Plans of reads in the moment in which a standby gives home and lets go.

What was written while a home was away reaches it a little before the standby no longer has it to
tell of. Whoever looks at the home too soon and asks the standby too late hears of it from neither.
"""

import random
from collections.abc import Sequence

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import HOME, PARTNER, STANDBY, Script

_WRITER, _READER = range(2)
"""The gateways: one reaches everybody, the other one not always the home that stayed."""
_CYCLES = 6


def homecoming(seed: int, rng: random.Random) -> Plan:
    """A home returns, somebody reads, and the home that stayed is heard by few or nobody."""
    return rng.choice((_whole, _whole, _single, _relay))(seed, rng)


def _whole(seed: int, rng: random.Random) -> Plan:
    """A gateway reads everything, and what it asks of the standby takes longer than the rest."""
    script = Script(rng)
    records = _begin(script)
    pace = rng.choice((0.001, 0.003))
    at = 0.03
    for _ in range(_CYCLES):
        returns, stays = rng.sample((HOME, PARTNER), 2)
        back = _absence(script, at, returns, records)
        if rng.random() < 0.8:
            # Hardly ever is a message lost in the one moment that matters, so all are.
            unheard = rng.choice((at, back - 0.002 + 0.008 * rng.random()))
            lasts = back + 0.04 - unheard
            script.cause(unheard, FaultKind.BLIND, stays, _READER, lasts=lasts, amount=0.9)
        slow = rng.choice((STANDBY, STANDBY, STANDBY, returns))
        amount = 0.1 + 0.9 * rng.random()
        script.cause(back - 0.01, FaultKind.SLOW_ASK, slow, _READER, lasts=0.05, amount=amount)
        for _ in range(4):
            moment = back - 0.002 + (pace + 0.006) * rng.random()
            script.ask(moment, rng.choice((Action.LIST, Action.COUNT)), _READER)
        at = back + 0.06 + 0.05 * rng.random()
    return _homecoming(seed, script, records, pace)


def _single(seed: int, rng: random.Random) -> Plan:
    """The home that has returned decides reads with the standby, for the homes are cut off.

    Afterwards it decides a change: next time it has an old copy of its own to believe in.
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
    """As one home returns the other one goes: only the standby knows what the first has missed.

    And it may not get that across, while everybody else hears the home that has returned; or there
    is much of it, and what is changed anew comes home ahead of the rest.
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
    # One by one, or the first batch brings home all that there is.
    return _homecoming(seed, script, records, pace, batch=1)


def _begin(script: Script) -> int:
    """Create some of the records; how many there may be."""
    records = script.rng.choice((1, 1, 3))
    for number in range(records):
        if script.rng.random() < 0.6:
            script.ask(0.0, Action.POST, _WRITER, number)
    return records


def _absence(
    script: Script, at: float, returns: int, records: int, changes: Sequence[int] = (1, 1, 2)
) -> float:
    """A home goes away and something is written; when it returns."""
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
            "ddb.wire.timeouts.DEFAULT.partner_s": 0.01,
            "ddb.wire.timeouts.DEFAULT.coordinator_s": 0.02,
            "ddb.wire.timeouts.DEFAULT.scan_s": 0.02,
            "ddb.gateway.listing.count.MAX_RANGE_READS": rng.choice((0, 0, 48)),
            # Below nought: nothing is walked before all tallies are taken.
            "ddb.gateway.listing.count.CHEAP_RANGE_READ_ROWS": rng.choice((-1, -1, 2000)),
            "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": pace,
            "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": pace,
            "ddb.node.repair.handoff.HOME_TIMEOUT_S": 0.006,
            "ddb.node.repair.handoff_pacing.IDLE_BATCH_HINTS": batch,
            "ddb.node.repair.handoff_pacing.BUSY_BATCH_HINTS": batch,
            # Else it comes home long after the reads.
            "ddb.node.repair.handoff_pacing.BUSY_PAUSE_FACTOR": 0.1,
            "ddb.wire.link.PING_INTERVAL_S": 0.004,
            "ddb.wire.link.SWEEP_INTERVAL_S": 0.002,
            "ddb.wire.link.SUSPECT_AFTER_S": 0.03,
        },
        datagrams=rng.random() < 0.5,
    )
