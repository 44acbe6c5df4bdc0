"""Plans in which one node cannot read some copies while another one lacks its share."""

import random

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.plans.renewal import amnesiac, plan_of_losses
from tests.sim.plans.rotten import QUICK
from tests.sim.script import HOME, NODES, PARTNER, STANDBY, Script

_DAMAGE = (FaultKind.BAD_BLOCK, FaultKind.BAD_ROW)


def double_faults(seed: int, rng: random.Random) -> Plan:
    """Damage copies of a node while another one, or the same one, gets its share again."""
    ways = (_outdated, _source, _source, _blank, _rebuilding, _rebuilding, _rebuilding, _bodies)
    return rng.choice(ways)(seed, rng)


def _outdated(seed: int, rng: random.Random) -> Plan:
    """Restore an image of one home while the other one has damage.

    The image may have the last good copies. The record then waits for the operator.
    """
    script = Script(rng)
    records = rng.choice((1, 3, 6))
    for number in range(records):
        script.ask(0.0, Action.POST, 0, number)
    old, bad = rng.sample((HOME, PARTNER), 2)
    script.cause(0.1, FaultKind.IMAGE, old, lasts=0.0)
    at = 0.12
    for _ in range(rng.choice((1, 2))):
        script.cause(at, rng.choice((FaultKind.KILL, FaultKind.POWER)), old, lasts=0.002)
        at += 0.08
    back = at + 0.1
    script.cause(back - 0.012, FaultKind.ISOLATE, old, lasts=0.02 + 0.02 * rng.random())
    # The other home finds the damage before the image returns.
    amount = 0.7 * rng.random()
    block = FaultKind.BAD_BLOCK
    script.cause(back - 0.009, block, bad, lasts=0.0005, fuse=rng.randrange(4), amount=amount)
    script.cause(back, FaultKind.OLD_DISK, old, lasts=0.002 + 0.008 * rng.random())
    for _ in range(8):
        script.ask(back + 0.4 * rng.random(), script.read(0.3), 0, rng.randrange(records))
    return plan_of_losses(seed, rng, script, records, QUICK)


def _source(seed: int, rng: random.Random) -> Plan:
    """Damage a home while the standby loses its hints, and the other home is behind.

    Then cut the damaged home off. The refill of the standby must have copied its readable rows.
    """
    script = Script(rng)
    records = rng.choice((3, 6))
    for number in range(records):
        script.ask(0.0, Action.POST, 0, number)
    at = 0.04
    for _ in range(4):
        behind, source = rng.sample((HOME, PARTNER), 2)
        script.cause(at, FaultKind.ISOLATE, behind, lasts=0.07)
        for _ in range(rng.choice((2, 4))):
            moment = at + 0.005 + 0.04 * rng.random()
            script.ask(moment, script.write(0.2, 0.2), rng.randrange(2), rng.randrange(records))
        script.cause(at + 0.07, FaultKind.WIPE, STANDBY, lasts=0.001 + 0.005 * rng.random())
        _damage(script, at + 0.071 + 0.006 * rng.random(), source)
        gone = at + 0.12 + 0.08 * rng.random()
        script.cause(gone, FaultKind.ISOLATE, source, lasts=0.12)
        for _ in range(6):
            moment = gone + 0.11 * rng.random()
            script.ask(moment, script.read(0.3), rng.randrange(2), rng.randrange(records))
        at = gone + 0.12 + rng.choice((0.1, 0.2))
    return plan_of_losses(seed, rng, script, records, QUICK)


def _blank(seed: int, rng: random.Random) -> Plan:
    """Damage the new disk of a node while it refills."""
    script = Script(rng)
    records = 6
    for number in range(records):
        script.ask(0.0, Action.POST, 0, number)
    at = 0.1
    for _ in range(3):
        lost, silent = rng.sample(NODES, 2)
        script.cause(at, FaultKind.WIPE, lost, lasts=0.002)
        # The refill has to wait for this node in the middle.
        waits = at + 0.006 + 0.012 * rng.random()
        script.cause(waits, FaultKind.ISOLATE, silent, lasts=0.06)
        for _ in range(rng.choice((1, 2))):
            _damage(script, waits + 0.002 + 0.02 * rng.random(), lost)
        for _ in range(6):
            moment = at + 0.2 * rng.random()
            action = script.read(0.3) if rng.random() < 0.6 else script.write()
            script.ask(moment, action, rng.randrange(2), rng.randrange(records))
        at += 0.3
    return plan_of_losses(seed, rng, script, records, QUICK)


def _rebuilding(seed: int, rng: random.Random) -> Plan:
    """Damage a standby's home copies, and then a hint that it has accepted since its fence.

    The home that made the hint has not stored its own copy yet. The two homes do not reach each
    other. So the hint is the only copy that an ended round will rely on.
    """
    script = Script(rng)
    records = rng.choice((4, 8))
    length = 0.8
    script.route(((PARTNER, STANDBY), (HOME, STANDBY)), length)
    script.cause(0.03, FaultKind.CUT, HOME, PARTNER, lasts=length)
    for number in range(records):
        script.ask(0.0, Action.POST, rng.randrange(2), number)
    at = 0.08
    while at < length:
        first = at - 0.001 - 0.008 * rng.random()
        amount = 0.7 * rng.random()
        script.cause(first, FaultKind.BAD_BLOCK, STANDBY, lasts=0.0005, amount=amount)
        script.ask(at - 0.0004 - 0.0008 * rng.random(), Action.PUT, 0, 0)
        script.cause(at, FaultKind.LAG, STANDBY, lasts=0.003)
        _damage(script, at + 0.0005 + 0.002 * rng.random(), STANDBY, hints=True)
        for _ in range(3):
            script.ask(at + 0.03 + 0.04 * rng.random(), Action.GET, 1, 0)
        at += 0.1 + 0.03 * rng.random()
    return amnesiac(
        seed,
        script,
        0.06,
        {
            **QUICK,
            "ddb.node.repair.rebuild.PEER_TIMEOUT_S": 0.06,
            # The pass reads the damaged hint while the node rebuilds its home copies.
            "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": 0.002,
            "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": 0.002,
        },
        records=records,
        partitions=rng.choice((2, 4)),
    )


def _bodies(seed: int, rng: random.Random) -> Plan:
    """Cut bodies short before updates that need them."""
    script = Script(rng)
    script.ask(0.0, Action.POST, 0)
    at = 0.1
    for _ in range(6):
        bad = rng.choice((HOME, HOME, PARTNER))
        script.cause(at, FaultKind.BAD_BODY, bad, lasts=0.0, amount=0.1)
        for moment in (0.001, 0.05)[: rng.choice((1, 2))]:
            script.ask(at + moment, Action.PUT, rng.randrange(2))
        at += 0.1
    return script.plan(
        seed,
        skew=rng.choice((0.0, 0.5)),
        fsync=rng.choice((0.0004, 0.002)),
        turned={},
        wired=rng.random() < 0.5,
    )


def _damage(script: Script, at: float, node: int, *, hints: bool = False) -> None:
    """Damage some of a node's home copies, or of its hints."""
    rng = script.rng
    script.cause(
        at,
        rng.choice(_DAMAGE),
        node,
        lasts=rng.choice((0.0005, 0.002, 0.02)),
        fuse=rng.randrange(8),
        amount=0.8 + 0.2 * rng.random() if hints else 0.7 * rng.random(),
    )
