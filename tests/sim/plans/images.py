"""Plans in which an older image replaces a node's disk.

A node and one other decide a change without the third. Then the node gets an older image of its
disk, and the other one leaves. Only the third can detect that the node must not vote.
"""

import random

from ddb.record.hybrid_clock import at_millisecond
from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import NODES, Script

_CYCLES = 3
_WRITER, _READER = range(2)


def images(seed: int, rng: random.Random) -> Plan:
    """Take an image, let the node go on, then restore the image once or twice."""
    script = Script(rng)
    records = rng.choice((1, 3))
    for number in range(records):
        script.ask(0.0, Action.POST, _WRITER, number)
    way = rng.choice((_restarted, _restarted, _gone_on, _replaced))
    at = 0.05
    for _ in range(_CYCLES):
        old, behind, stays = rng.sample(NODES, len(NODES))
        script.cause(at, FaultKind.IMAGE, old, lasts=0.0)
        if rng.random() < 0.3:
            # The restored machine may have another clock.
            script.cause(at + 0.002, FaultKind.CLOCK, old, lasts=2.0, amount=rng.choice((0.0, 1.0)))
        written = way(script, at + 0.005, old, records)
        script.cause(written, FaultKind.ISOLATE, behind, lasts=0.05)
        for number in range(records):
            moment = written + 0.008 + 0.02 * rng.random()
            script.ask(moment, script.write(0.2, 0.2), _WRITER, number)
        back = written + 0.05
        script.cause(back - 0.004, FaultKind.OLD_DISK, old, lasts=0.001 + 0.004 * rng.random())
        if way is _restarted and rng.random() < 0.4:
            back = _restarted_unseen(script, back, old)
        lasts = 0.06 + 0.06 * rng.random()
        leaves = back - 0.005 if rng.random() < 0.7 else back + 0.02 * rng.random()
        script.cause(leaves, FaultKind.ISOLATE, stays, lasts=lasts)
        for _ in range(6):
            moment = back + 0.005 + lasts * rng.random()
            action = script.read(0.2) if rng.random() < 0.8 else script.write(0.2, 0.2)
            script.ask(moment, action, _READER, rng.randrange(records))
        if rng.random() < 0.3:
            # Restore the same image again, perhaps before the refill has ended.
            again = leaves + lasts + 0.05 * rng.random()
            script.cause(again, FaultKind.OLD_DISK, old, lasts=0.002)
        at = leaves + lasts + rng.choice((0.1, 0.2))
    return _images(seed, script, records, way is _gone_on)


def _restarted(script: Script, at: float, old: int, _records: int) -> float:
    """Restart the node one to three times; return when that is over."""
    rng = script.rng
    for _ in range(rng.choice((1, 1, 3))):
        script.cause(at, rng.choice((FaultKind.KILL, FaultKind.POWER)), old, lasts=0.002)
        at += 0.03
    return at


def _restarted_unseen(script: Script, back: float, old: int) -> float:
    """Restart the image while no peer can refuse it; return when that is over.

    Its boot number then exceeds the number that its peers remember.
    """
    rng = script.rng
    restarts = rng.choice((1, 1, 3))
    script.cause(back - 0.005, FaultKind.ISOLATE, old, lasts=0.012 + 0.008 * restarts)
    for number in range(restarts):
        script.cause(back + 0.004 + 0.008 * number, FaultKind.KILL, old, lasts=0.002)
    return back + 0.008 * (restarts + 1)


def _gone_on(script: Script, at: float, _old: int, records: int) -> float:
    """Let the node issue and accept ballots above the ceiling of the image."""
    rng = script.rng
    for _ in range(6):
        script.ask(at + 0.03 * rng.random(), Action.PUT, _WRITER, rng.randrange(records))
    return at + 0.05


def _replaced(script: Script, at: float, old: int, _records: int) -> float:
    """Replace the node's disk and refill it, before the old disk returns."""
    script.cause(at, FaultKind.WIPE, old, lasts=0.002)
    return at + 0.12


def _images(seed: int, script: Script, records: int, quick: bool) -> Plan:
    rng = script.rng
    handing = rng.choice((0.002, 0.02, 0.5))
    wire = rng.random()
    return script.plan(
        seed,
        records=records,
        skew=rng.choice((0.0, 0.02, 1.0)),
        fsync=rng.choice((0.0002, 0.001)),
        turned={
            "ddb.node.replica.ballots.RESERVED_AHEAD": at_millisecond(
                2 if quick else rng.choice((2, 2000))
            ),
            "ddb.node.membership.boots.KEEP_EVERY_MS": 1,
            "ddb.node.consensus.commit_gossip.NOTICE_INTERVAL_S": rng.choice((0.003, 0.006)),
            "ddb.wire.timeouts.DEFAULT.peer_s": 0.01,
            "ddb.wire.timeouts.DEFAULT.coordinator_s": 0.02,
            "ddb.wire.timeouts.DEFAULT.scan_s": 0.02,
            "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": handing,
            "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": handing,
            "ddb.node.repair.handoff.HOME_TIMEOUT_S": 0.01,
            "ddb.node.membership.bootstrap.POLL_INTERVAL_S": 0.004,
            "ddb.node.membership.bootstrap.PEER_TIMEOUT_S": 0.03,
            "ddb.node.repair.refill.SOURCE_TIMEOUT_S": 0.03,
            "ddb.node.repair.refill_source.PAGE_ROWS": rng.choice((1, 500)),
            "ddb.wire.link.PING_INTERVAL_S": 0.004,
            "ddb.wire.in_flight.SWEEP_INTERVAL_S": 0.002,
            "ddb.wire.link.SUSPECT_AFTER_S": 0.02,
        },
        datagrams=wire < 0.2,
        wired=wire > 0.7,
    )
