"""Plans of nodes that forget: what they had promised, or everything."""

import random

from tests.sim import knobs
from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import HOME, NODES, PARTNER, Script

_QUICK: dict[str, float | int] = {
    "ddb.node.formation.POLL": 0.004,
    "ddb.node.formation.PATIENCE": 0.03,
    "ddb.node.refill.PATIENCE": 0.03,
    "ddb.wire.link.PING_EVERY": 0.01,
}


def renewal(seed: int, rng: random.Random) -> Plan:
    """A disk is lost while another node is behind; then a third one is out of reach."""
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
                script.write(),
                rng.randrange(2),
                rng.randrange(records),
            )
        lost = rng.choice(others)
        script.cause(at + 0.07, FaultKind.WIPE, lost, lasts=0.001 + 0.005 * rng.random())
        back = at + 0.1
        gone = back + 0.04 + 0.1 * rng.random()
        if rng.random() < 0.6:
            leaves = rng.choice([node for node in others if node != lost])
            script.cause(gone, FaultKind.ISOLATE, leaves, lasts=0.12)
        for _ in range(4):
            script.ask(
                gone + 0.11 * rng.random(),
                script.read(0.2),
                rng.randrange(2),
                rng.randrange(records),
            )
        at = gone + 0.12 + rng.choice((0.05, 0.2))
    slow = rng.choice((0.002, 0.02, 0.5, 0.5))
    return Plan(
        seed=seed,
        salt=seed,
        nodes=3,
        gateways=2,
        records=records,
        skew=rng.choice((0.0, 1.0)),
        weather=(0.0003, 0.0005, 0.0, 0.0, 0.0),
        lateness=0.0,
        fsync=rng.choice((0.0004, 0.004)),
        knobs={
            knobs.EVERYWHERE: 1,
            "ddb.node.coordinator.PATIENCE": 0.015,
            "ddb.gateway.router.PATIENCE": 0.03,
            "ddb.gateway.listing.PATIENCE": 0.03,
            "ddb.node.handoff.IDLE": slow,
            "ddb.node.handoff.SOON": slow,
            "ddb.node.refill.BATCH": rng.choice((1, 500)),
            **_QUICK,
        },
        ops=tuple(script.ops),
        faults=script.faults,
        datagrams=rng.random() < 0.7,
        by_role=True,
    )


def amnesia(seed: int, rng: random.Random) -> Plan:
    """Messages outlive the memory of the node that they are about."""
    script = Script(rng)
    length = 0.5
    wipes = rng.random() < 0.6
    forgets = rng.choice((HOME, PARTNER))
    first, second = (node for node in NODES if node != forgets)
    if wipes and rng.random() < 0.5:
        # It coordinates itself, on a clock that is behind: its counters follow the others'.
        routes: list[tuple[int, ...]] = [(first, second), ()]
        script.cause(0.0, FaultKind.CLOCK, forgets, lasts=2.0, amount=0.0)
    else:
        routes = [(forgets, second), (forgets, first)]
        script.cause(0.0, FaultKind.CUT, first, second, lasts=length)
    script.route(tuple(routes), length)
    at = 0.03
    pace = 0.03 if wipes else rng.choice((0.004, 0.01))
    while at < length:
        kind = FaultKind.WIPE if wipes else rng.choice((FaultKind.KILL, FaultKind.POWER))
        script.cause(at, kind, forgets, lasts=0.0003 + 0.0007 * rng.random())
        at += pace * (0.5 + rng.random())
    script.ask(0.0, Action.POST, 0)
    for gateway in range(2):
        for _ in range(2):
            actions = [script.write(0.1, 0.03) for _ in range(16)]
            script.converse(0.005, rng.choice((0.002, 0.01)), gateway, actions)
    return Plan(
        seed=seed,
        salt=seed,
        nodes=3,
        gateways=2,
        records=1,
        skew=rng.choice((0.02, 1.0)),
        weather=(0.0003, rng.choice((0.0005, 0.002)), 0.0, 0.0, rng.choice((0.2, 0.5))),
        lateness=0.03 if wipes else 0.012,
        fsync=0.0002,
        knobs={
            knobs.EVERYWHERE: 1,
            "ddb.node.coordinator.PATIENCE": 0.06 if wipes else 0.03,
            "ddb.gateway.router.PATIENCE": 0.2,
            "ddb.gateway.router.BUDGET": 0.3,
            "ddb.node.handoff.IDLE": rng.choice((0.002, 0.05)),
            "ddb.node.handoff.SOON": rng.choice((0.002, 0.05)),
            **_QUICK,
        },
        ops=tuple(script.ops),
        faults=script.faults,
        datagrams=True,
        by_role=True,
    )
