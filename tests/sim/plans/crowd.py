"""Plans with many changes of one record at once: more than one round, or all disks, can take."""

import random

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import HOME, PARTNER, STANDBY, Script

TURNED = "ddb.wire.timeouts.DEFAULT.begin_s"
_COMBINED = "ddb.node.fastpath.combiner.MAX_COMBINED_CHANGES"
_COMBINED_BYTES = "ddb.node.fastpath.combiner.MAX_COMBINED_BYTES"
_KEYED = "ddb.node.consensus.dedup_window.MAX_KEYED_ENTRIES"
_FAULTS = (
    FaultKind.PAUSE,
    FaultKind.ISOLATE,
    FaultKind.KILL,
    FaultKind.POWER,
    FaultKind.CUT,
    FaultKind.DEAF,
    FaultKind.RESET,
    FaultKind.LAG,
)


def crowd(seed: int, rng: random.Random) -> Plan:
    """Let all clients change one record at once."""
    return rng.choice((_overload, _together))(seed, rng)


def _together(seed: int, rng: random.Random) -> Plan:
    """Let few rounds decide changes of all kinds, with keys, tags and clients that retry early."""
    script = Script(rng)
    gateways = rng.choice((1, 2, 3))
    create, delete = rng.choice(((0.05, 0.05), (0.3, 0.3)))
    keyed = rng.choice((0.0, 0.2, 0.6))
    faulty = rng.random() < 0.6
    at = 0.1
    for _ in range(rng.choice((2, 3))):
        for _ in range(rng.choice((4, 8, 16))):
            begin, gateway = at + 0.01 * rng.random(), rng.randrange(gateways)
            if rng.random() >= keyed:
                actions = [script.write(create, delete) for _ in range(rng.choice((1, 2, 3)))]
                script.converse(begin, 0.002, gateway, [Action.GET, *actions], matched=0.4)
                continue
            # An early retry waits next to the first attempt, at the same coordinator.
            script.ask(
                begin,
                script.write(create, delete),
                gateway,
                retries=rng.choice((1, 2)),
                repeat=True,
                timeout_s=rng.choice((0.002, 0.006, 0.02, 1.5)),
                pause=0.001,
            )
        if faulty:
            victim = rng.choice((HOME, HOME, PARTNER, STANDBY))
            other = (victim + rng.choice((1, 2))) % 3
            lasts = 0.05 + 0.2 * rng.random()
            script.cause(at + 0.03 * rng.random(), rng.choice(_FAULTS), victim, other, lasts=lasts)
        at += 0.15 + 0.3 * rng.random()
    if faulty and rng.random() < 0.3:
        # Changes of the first gateway have one coordinator only, and that one loses both peers.
        script.route(((PARTNER, STANDBY),), at)
        begin, lasts = 0.1 + 0.02 * rng.random(), 0.1 + 0.3 * rng.random()
        for peer in (PARTNER, STANDBY):
            script.cause(begin, FaultKind.CUT, HOME, peer, lasts=lasts)
    turned: dict[str, float | int] = {_COMBINED: rng.choice((2, 5, 64, 64))}
    if rng.random() < 0.2:
        turned[_COMBINED_BYTES] = rng.choice((1, 300))
    if keyed and rng.random() < 0.5:
        turned[_KEYED] = rng.choice((1, 1, 3))
    if faulty and rng.random() < 0.5:
        turned[TURNED] = 0.0
        turned["ddb.gateway.routing.operation_ids.LINGER_GRACE_S"] = 0.03
    return script.plan(
        seed,
        gateways=gateways,
        skew=rng.choice((0.0, 1.0)),
        weather=(0.0003, rng.choice((0.0005, 0.003)), 0.0, 0.0, 0.0),
        fsync=rng.choice((0.001, 0.004, 0.008)),
        turned=turned,
        datagrams=faulty and rng.random() < 0.3,
        crowded=True,
    )


def _overload(seed: int, rng: random.Random) -> Plan:
    """Send more changes of one record than its disks can flush in time.

    Without a fault, each refusal must mean that nothing is done. With a fault, a node falls silent
    among them, so that refusals and retries meet.
    """
    script = Script(rng)
    fsync = rng.choice((0.004, 0.008, 0.012))
    faulty = rng.random() < 0.5
    gateways = rng.choice((1, 2, 3))
    script.ask(0.0, Action.POST, 0)
    at = 0.1
    for _ in range(rng.choice((2, 3))):
        for _ in range(rng.choice((8, 16, 24))):
            writes = rng.random() < 0.85
            script.ask(
                at + 0.03 * rng.random(),
                script.write() if writes else Action.GET,
                rng.randrange(gateways),
                retries=rng.choice((0, 0, 0, 1)) if faulty else 0,
            )
        if faulty:
            kind = rng.choice(
                (FaultKind.PAUSE, FaultKind.ISOLATE, FaultKind.KILL, FaultKind.RESET, FaultKind.LAG)
            )
            victim = rng.choice((HOME, HOME, PARTNER, STANDBY))
            script.cause(at + 0.15 * rng.random(), kind, victim, lasts=0.05 + 0.2 * rng.random())
        at += 0.3 + 0.2 * rng.random()
    # Rounds of few changes leave the others waiting.
    turned: dict[str, float | int] = {_COMBINED: rng.choice((1, 1, 2, 64))}
    if faulty and rng.random() < 0.5:
        # Then a coordinator begins a change shortly before its deadline instead of refusing it.
        turned[TURNED] = 0.0
    return script.plan(
        seed,
        gateways=gateways,
        skew=rng.choice((0.0, 1.0)),
        fsync=fsync,
        turned=turned,
        wired=rng.random() < 0.5,
        crowded=True,
    )
