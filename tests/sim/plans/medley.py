"""Plans of all faults at once, and plans in which all clients change one record."""

import random

from tests.sim import knobs
from tests.sim.plan import Action, Fault, FaultKind, Match, Op, Plan
from tests.sim.script import FIELDS

_ANYTHING = tuple(
    kind for kind in FaultKind if kind not in (FaultKind.LATE_DISKS, FaultKind.BAD_BODY)
)
"""All faults but late disks: those concern all nodes, and take the whole run."""


def medley(seed: int, rng: random.Random) -> Plan:
    """Draw all parts of the plan, with all kinds of faults."""
    nodes = rng.choice((3, 3, 3, 4, 5, 5, 7))
    gateways = rng.choice((1, 2, 2, 3))
    records = rng.choice((1, 1, 2, 3, 5, 12))
    calm = rng.random() < 0.1
    rough = not calm and rng.random() < 0.4
    weather = (
        rng.choice((0.0001, 0.0005, 0.002)),
        rng.choice((0.0002, 0.001, 0.005)),
        rng.choice((0.0, 0.01, 0.1)) if rough else 0.0,
        rng.choice((0.0, 0.02, 0.2)) if rough else 0.0,
        rng.choice((0.0, 0.02, 0.2)) if rough else 0.0,
    )
    length = rng.choice((1.0, 2.0, 4.0))
    wired = rng.random() < 0.3
    pace = rng.choice((0.1, 0.3, 1.0))
    spell = rng.choice((0.03, 0.3, 1.5))
    return Plan(
        seed=seed,
        salt=seed,
        nodes=nodes,
        gateways=gateways,
        records=records,
        skew=rng.choice((0.0, 0.5, 3600.0)),
        weather=weather,
        lateness=0.4,
        fsync=rng.choice((0.0004, 0.0004, 0.002)),
        knobs=knobs.draw(rng),
        ops=_ops(rng, gateways, records, length),
        faults=() if calm else _faults(rng, nodes, length, pace, spell, _ANYTHING),
        early=rng.random() < 0.1,
        datagrams=not wired and rng.random() < 0.3,
        wired=wired,
    )


_DUEL = (
    FaultKind.KILL,
    FaultKind.POWER,
    FaultKind.DIES_TWICE,
    FaultKind.ROLLING,
    FaultKind.PAUSE,
    FaultKind.WIPE,
    FaultKind.ISOLATE,
    FaultKind.CUT,
    FaultKind.DEAF,
    FaultKind.BLIND,
    FaultKind.RESET,
    FaultKind.CLOCK,
    FaultKind.SLOW_DISK,
    FaultKind.GATEWAY,
)


_REBOOTS = (
    FaultKind.KILL,
    FaultKind.POWER,
    FaultKind.DIES_TWICE,
    FaultKind.SLOW_DISK,
    FaultKind.ISOLATE,
    FaultKind.CUT,
)
_PARTED = (FaultKind.CUT, FaultKind.DEAF, FaultKind.BLIND)
_MOST_FAULTS = 40


def duel(seed: int, rng: random.Random) -> Plan:
    """Let all clients change one record on three nodes, while few messages arrive in time."""
    length = rng.choice((0.3, 0.6, 1.2))
    parted = rng.random() < 0.25
    reboots = not parted and rng.random() < 0.5
    timeout_s = (
        rng.choice((0.015, 0.04)) if reboots or parted else rng.choice((0.002, 0.005, 0.015))
    )
    turned: dict[str, float | int] = {
        knobs.EVERYWHERE: 2,
        "ddb.wire.timeouts.DEFAULT.peer_s": timeout_s,
        "ddb.wire.timeouts.DEFAULT.coordinator_s": timeout_s * rng.choice((1.5, 3.0)),
        "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": rng.choice((0.005, 0.02, 0.1)),
        "ddb.wire.link.PING_INTERVAL_S": 0.01,
    }
    datagrams = reboots or rng.random() < 0.6
    if rng.random() < 0.5:
        turned["ddb.node.replica.ballots.RESERVED_AHEAD"] = rng.choice((1 << 16, 20 << 16))
    if rng.random() < 0.2:
        turned["ddb.node.replica.acceptor.MAX_PROMISES"] = 1
    if reboots:
        faults = _faults(
            rng, 3, length, rng.choice((0.01, 0.02)), rng.choice((0.004, 0.03)), _REBOOTS
        )
    elif parted:
        faults = _faults(rng, 3, length, 0.04, rng.choice((0.03, 0.15)), _PARTED)
    else:
        pace, spell = rng.choice((0.02, 0.05, 0.2)), rng.choice((0.003, 0.03, 0.2))
        faults = _faults(rng, 3, length, pace, spell, _DUEL)
    return Plan(
        seed=seed,
        salt=seed,
        nodes=3,
        gateways=2,
        records=1,
        skew=rng.choice((0.0, 0.02, 1.0)),
        weather=(
            0.0003,
            rng.choice((0.0005, 0.003)),
            rng.choice((0.0, 0.05, 0.2)),
            rng.choice((0.0, 0.1)),
            rng.choice((0.1, 0.3)) if reboots or parted else rng.choice((0.0, 0.1, 0.3)),
        ),
        lateness=0.7 * timeout_s if reboots or parted else rng.choice((0.01, 0.05, 0.2)),
        fsync=0.0004 if parted else rng.choice((0.0004, 0.004, 0.012)),
        knobs=turned,
        ops=_ops(rng, 2, 1, length),
        faults=(*_blindness(rng, length), *faults),
        datagrams=datagrams,
        wired=not datagrams and rng.random() < 0.6,
    )


def _blindness(rng: random.Random, length: float) -> tuple[Fault, ...]:
    """Cut each of two gateways off from another node, so their coordinators differ."""
    if rng.random() < 0.3:
        return ()
    first = rng.randrange(3)
    second = (first + 1 + rng.randrange(2)) % 3
    return tuple(
        Fault(0.0, FaultKind.BLIND, node, gateway, length, 0, 1.0)
        for gateway, node in enumerate((first, second))
    )


def _ops(rng: random.Random, gateways: int, records: int, length: float) -> tuple[Op, ...]:
    clients = rng.randint(1, 6)
    weights = [rng.choice((0, 1, 4)) for _ in range(4)]
    weights[1] += 1
    weights += [rng.choice((0, 0, 1)), rng.choice((0, 0, 1))]
    hot = rng.choice((0.0, 0.5, 0.9))
    keyed = rng.choice((0.0, 0.2, 0.8))
    matched = rng.choice((0.0, 0.0, 0.3))
    abandoned = rng.choice((0.0, 0.0, 0.2))
    count = rng.choice((8, 16, 24))
    gap = 2 * length / count
    ops: list[Op] = []
    for client in range(clients):
        for _ in range(count):
            action = rng.choices(tuple(Action), weights)[0]
            writes = action in (Action.POST, Action.PUT, Action.DELETE)
            by_key = writes and rng.random() < keyed
            impatient = rng.random() < abandoned
            ops.append(
                Op(
                    client=client,
                    gap=gap * rng.random() ** 2,
                    gateway=rng.randrange(gateways),
                    action=action,
                    record=0 if rng.random() < hot else rng.randrange(records),
                    fields=tuple(rng.sample(FIELDS, rng.randint(1, 3))),
                    match=(
                        rng.choice((Match.ANY, Match.SEEN, Match.SEEN))
                        if action in (Action.PUT, Action.DELETE) and rng.random() < matched
                        else Match.NONE
                    ),
                    retries=rng.randint(1, 3) if by_key else 0,
                    repeat=by_key and rng.random() < 0.3,
                    timeout_s=rng.choice((0.001, 0.003, 0.02, 0.1)) if impatient else 1.5,
                    cancels=impatient and rng.random() < 0.5,
                )
            )
    return tuple(ops)


def _faults(
    rng: random.Random,
    nodes: int,
    length: float,
    pace: float,
    spell: float,
    among: tuple[FaultKind, ...],
) -> tuple[Fault, ...]:
    kinds = [kind for kind in among if rng.random() < 0.35]
    if not kinds:
        return ()
    weights = [rng.choice((1, 1, 5)) for _ in kinds]
    picky = rng.random() < 0.3
    faults: list[Fault] = []
    at = pace * rng.random()
    while at < length and len(faults) < _MOST_FAULTS:
        one = 0 if picky else rng.randrange(nodes)
        faults.append(
            Fault(
                at=at,
                kind=rng.choices(kinds, weights)[0],
                one=one,
                other=(one + rng.randrange(1, nodes)) % nodes,
                lasts=spell * (0.1 + rng.random()),
                fuse=rng.choice((0, rng.randrange(1, 60))),
                amount=rng.random(),
            )
        )
        at += pace * rng.expovariate(1.0)
    return tuple(faults)
