"""Plans in which processes run while their disks are slow."""

import random

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import Script


def slow_disks(seed: int, rng: random.Random) -> Plan:
    """Slow or stall one node's disk, or slow all disks down."""
    return rng.choice((_one, _one, _one, _all))(seed, rng)


def _one(seed: int, rng: random.Random) -> Plan:
    """Stall the disk of one node, once or at intervals, or slow it down."""
    script = Script(rng)
    nodes = rng.choice((3, 3, 3, 4, 5))
    victim, at, length = rng.randrange(nodes), 0.1, 1.4
    lasts, pause = rng.choice(((0.06, 0.06), (0.2, 0.2), (1.2, 0.0), (1.2, 0.0)))
    kind = rng.choice((FaultKind.STALLED_DISK, FaultKind.STALLED_DISK, FaultKind.SLOW_DISK))
    amount = 0.4 + 0.6 * rng.random()
    while at < length:
        script.cause(at, kind, victim, lasts=lasts, amount=amount)
        at += lasts + pause + 0.3 * rng.random()
    records = rng.choice((1, 1, 3, 8))
    for number in range(records):
        script.ask(length * number / 200, Action.POST, 0, number)
    for _ in range(rng.choice((20, 60, 120))):
        script.ask(
            0.05 + length * rng.random(),
            script.write() if rng.random() < 0.6 else script.read(),
            rng.randrange(2),
            0 if rng.random() < 0.6 else rng.randrange(records),
        )
    return _plan(seed, script, nodes, records)


def _all(seed: int, rng: random.Random) -> Plan:
    """Slow all disks down equally, so that no node is a better choice."""
    script = Script(rng)
    half = 3.0
    script.cause(0.0, FaultKind.LATE_DISKS, 0, lasts=2 * half)
    records = rng.choice((1, 3, 8))
    for number in range(records):
        script.ask(0.1 * rng.random(), Action.POST, 0, number)
    for _ in range(rng.choice((4, 20))):
        script.ask(0.3 * half * rng.random(), script.write(), 0, rng.randrange(records))
    for _ in range(20):
        script.ask(half * (1.05 + rng.random()), script.read(0.5), 1, rng.randrange(records))
    return _plan(seed, script, rng.choice((3, 5)), records)


def _plan(seed: int, script: Script, nodes: int, records: int) -> Plan:
    rng = script.rng
    return script.plan(
        seed,
        nodes=nodes,
        records=records,
        skew=rng.choice((0.0, 0.5)),
        weather=(0.0003, rng.choice((0.0002, 0.001)), 0.0, 0.0, 0.0),
        fsync=rng.choice((0.0004, 0.002)),
        partitions=rng.choice((2, 8)),
        turned={},
        wired=rng.random() < 0.6,
    )
