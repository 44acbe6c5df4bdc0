"""Plans of unreadable blocks: alone, or with outages, restarts and late messages."""

import random

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.plans import renewal
from tests.sim.plans.renewal import amnesiac, meeting, overlap, plan_of_losses
from tests.sim.script import HOME, NODES, PARTNER, STANDBY, Script

QUICK: dict[str, float | int] = {
    **renewal.QUICK,
    "ddb.node.repair.rebuild.CHECK_INTERVAL_S": 0.003,
    "ddb.node.repair.rebuild.PEER_TIMEOUT_S": 0.03,
    "ddb.node.repair.rebuild.CHECK_PAUSE_S": 0.0005,
    "ddb.node.repair.rebuild.PIECE_PAUSE_S": 0.0005,
}


def rotten(seed: int, rng: random.Random) -> Plan:
    """Make some adjacent rows of a node unreadable."""
    return rng.choice((_alone, _alone, _behind, _outlived))(seed, rng)


def _alone(seed: int, rng: random.Random) -> Plan:
    """Have no other faults and shipped timeouts, so each answer must come in time."""
    script = Script(rng)
    nodes = rng.choice((3, 3, 4, 5))
    records = rng.choice((3, 8, 12))
    length = 1.5
    for number in range(records):
        script.ask(0.05 * rng.random(), Action.POST, 0, number)
    at = 0.15
    while at < length:
        first = rng.randrange(nodes)
        for node in (first, (first + rng.randrange(1, nodes)) % nodes)[: rng.choice((1, 2))]:
            script.cause(
                at + 0.02 * rng.random(),
                FaultKind.BAD_BLOCK,
                node,
                lasts=rng.choice((0.01, 0.3)),
                fuse=rng.randrange(4),
                amount=0.7 * rng.random(),
            )
        at += rng.choice((0.1, 0.5))
    for _ in range(80):
        script.ask(
            0.1 + length * rng.random(),
            script.write() if rng.random() < 0.5 else script.read(0.4),
            rng.randrange(2),
            rng.randrange(records),
        )
    return script.plan(
        seed,
        nodes=nodes,
        records=records,
        skew=rng.choice((0.0, 0.5)),
        weather=(0.0003, rng.choice((0.0002, 0.001)), 0.0, 0.0, 0.0),
        fsync=rng.choice((0.0004, 0.002)),
        partitions=rng.choice((1, 2, 8)),
        turned={},
        wired=rng.random() < 0.5,
    )


def _behind(seed: int, rng: random.Random) -> Plan:
    """Damage the current copies while a home is behind; then cut another node off."""
    script = Script(rng)
    records = rng.choice((1, 3))
    at = 0.02
    for number in range(records):
        script.ask(0.0, Action.POST, 0, number)
    for _ in range(5):
        behind = rng.choice((HOME, PARTNER))
        others = [node for node in NODES if node != behind]
        script.cause(at, FaultKind.ISOLATE, behind, lasts=0.1)
        for _ in range(rng.choice((1, 2))):
            script.ask(
                at + 0.005 + 0.03 * rng.random(),
                # Many creations and deletions, which COUNT must not miss.
                script.write(0.4, 0.3),
                rng.randrange(2),
                rng.randrange(records),
            )
        rots = rng.choice(others)
        script.cause(
            at + 0.07,
            FaultKind.BAD_BLOCK,
            rots,
            lasts=rng.choice((0.002, 0.02, 0.1)),
            fuse=rng.randrange(3),
            amount=0.9 if rots == STANDBY else 0.1,
        )
        if rng.random() < 0.7:
            kind = rng.choice((FaultKind.KILL, FaultKind.POWER))
            moment = at + 0.07 + 0.06 * rng.random()
            # With a fuse it dies some callbacks after its next write.
            script.cause(
                moment,
                kind,
                rng.choice((rots, rots, behind)),
                lasts=0.003,
                fuse=rng.choice((0, 1 + rng.randrange(7))),
                amount=0.3,
            )
        # If early, no node can rebuild anything while clients read from the one that was behind.
        gone = at + rng.choice((0.075, 0.14 + 0.1 * rng.random()))
        if rng.random() < 0.6:
            leaves = rng.choice([node for node in others if node != rots])
            script.cause(gone, FaultKind.ISOLATE, leaves, lasts=0.12)
        for _ in range(6):
            script.ask(
                gone + 0.11 * rng.random(),
                script.read(0.5),
                rng.randrange(2),
                rng.randrange(records),
            )
        at = gone + 0.12 + rng.choice((0.05, 0.2))
    return plan_of_losses(seed, rng, script, records, QUICK)


def _outlived(seed: int, rng: random.Random) -> Plan:
    """Damage the copy of the node that two coordinators share, between two messages of a round."""
    script = Script(rng)
    length = 0.7
    forgets = meeting(script, length)
    at = 0.04
    while at < length:
        overlap(script, at, rng.choice((-0.0012, 0.012, 0.018, 0.025)))
        script.cause(at, FaultKind.LAG, forgets, lasts=0.004)
        moment = at + 0.002 + 0.002 * rng.random()
        amount = 0.9 if forgets == STANDBY else 0.1
        script.cause(moment, FaultKind.BAD_BLOCK, forgets, lasts=0.0005, amount=amount)
        for gateway in range(2):
            script.ask(at + 0.05 + 0.02 * rng.random(), script.write(0.1, 0.05), gateway)
        at += 0.09 + 0.03 * rng.random()
    return amnesiac(seed, script, 0.06, QUICK)
