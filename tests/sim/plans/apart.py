"""Plans in which some processes cannot reach each other."""

import random

from tests.sim import knobs
from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import CALM, HOME, NODES, PARTNER, STANDBY, Script


def bridge(seed: int, rng: random.Random) -> Plan:
    """Cut the homes off from each other, at times or throughout.

    The standby reaches both. So each write leaves a hint, and the standby hands it off at once,
    during the rounds of both homes.
    """
    script = Script(rng)
    length = rng.choice((0.25, 0.5))
    routes = [(PARTNER,), (HOME,), (HOME, PARTNER)]
    gateways = rng.choice((2, 2, 3))
    script.route(tuple(routes[:gateways]), length)
    manner = rng.random()
    if manner < 0.4:
        script.cause(0.01, FaultKind.CUT, HOME, PARTNER, lasts=length)
    else:
        kinds = (FaultKind.CUT,) if manner < 0.7 else (FaultKind.CUT, FaultKind.DEAF)
        mean, at = rng.choice((0.01, 0.03)), 0.005
        while at < length:
            lasts = mean * (0.3 + 2 * rng.random())
            pair = (HOME, PARTNER) if rng.random() < 0.5 else (PARTNER, HOME)
            script.cause(at, rng.choice(kinds), *pair, lasts=lasts)
            at += lasts + mean * rng.random()
    timeout_s = rng.choice((0.006, 0.015, 0.03))
    script.ask(0.0, Action.POST, 0)
    gap = rng.choice((0.001, 0.004, 0.012))
    for gateway in range(gateways):
        writes = rng.choice((0.3, 0.7, 0.9))
        for _ in range(rng.choice((1, 2))):
            actions = [
                script.write(0.08, 0.06) if rng.random() < writes else script.read(0.05)
                for _ in range(rng.choice((10, 20)))
            ]
            script.converse(0.005, gap, gateway, actions)
    return script.plan(
        seed,
        gateways=gateways,
        skew=rng.choice((0.0, 0.02, 1.0)),
        weather=(
            0.0003,
            rng.choice((0.0005, 0.003)),
            rng.choice((0.0, 0.0, 0.05)),
            rng.choice((0.0, 0.1)),
            rng.choice((0.1, 0.3, 0.5)),
        ),
        lateness=timeout_s * rng.choice((0.3, 0.8)),
        partitions=2,
        turned={
            "ddb.wire.timeouts.DEFAULT.peer_s": timeout_s,
            "ddb.wire.timeouts.DEFAULT.coordinator_s": timeout_s * rng.choice((2.0, 4.0)),
            "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": rng.choice((0.0005, 0.003)),
            "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": rng.choice((0.0005, 0.003)),
            "ddb.wire.link.PING_INTERVAL_S": 0.01,
        },
        datagrams=rng.random() < 0.7,
    )


def stubborn(seed: int, rng: random.Random) -> Plan:
    """Let requests arrive after their gateway has gone on, or get no answer."""
    return rng.choice((_overtaken, _stale, _unanswered, _forsaken))(seed, rng)


def _overtaken(seed: int, rng: random.Random) -> Plan:
    """Let an attempt arrive after the answer to another one, when the client has gone on."""
    script = Script(rng)
    paused = rng.random() < 0.5
    at = 0.02
    for _ in range(6):
        if paused:
            lasts = 0.04 + 0.14 * rng.random()
            script.cause(at, FaultKind.PAUSE, rng.choice((HOME, HOME, PARTNER)), lasts=lasts)
            at += lasts + 0.05 * rng.random()
    script.ask(0.0, Action.POST, 0)
    for gateway in range(2):
        actions = [
            script.write(0.15, 0.15) if rng.random() < 0.8 else Action.GET for _ in range(16)
        ]
        script.converse(0.01, rng.choice((0.002, 0.01)), gateway, actions)
    timeout_s = rng.choice((0.006, 0.015))
    weather = (*CALM[:4], 0.0 if paused else rng.choice((0.1, 0.3)))
    return _stubborn(seed, script, weather, 0.12, timeout_s, {}, wired=False)


def _stale(seed: int, rng: random.Random) -> Plan:
    """Let a gateway's requests to the first home arrive long after their deadline."""
    script = Script(rng)
    script.ask(0.0, Action.POST, 0)
    at = 0.05
    for _ in range(5):
        lasts = 0.12 + 0.3 * rng.random()
        script.cause(at, FaultKind.BLIND, HOME, 0, lasts=lasts, amount=0.2)
        script.ask(at + 0.03 * rng.random(), Action.PUT, 0)
        script.ask(at + 0.09 + (lasts - 0.1) * rng.random(), Action.PUT, 0)
        script.ask(at + lasts + 0.25, Action.GET, 1)
        at += lasts + 0.3
    turned = {
        "ddb.gateway.routing.operation_ids.LINGER_GRACE_S": 0.03,
        "ddb.wire.timeouts.DEFAULT.request_s": 0.06,
        "ddb.wire.link.PING_INTERVAL_S": 0.02,
    }
    return _stubborn(seed, script, CALM, 0.0, 0.015, turned, wired=True)


def _unanswered(seed: int, rng: random.Random) -> Plan:
    """Lose the replies of a coordinator's partners, but not its requests."""
    script = Script(rng)
    script.ask(0.0, Action.POST, 0)
    at = 0.02
    for _ in range(4):
        lasts = 0.1 + 0.1 * rng.random()
        for partner in (PARTNER, STANDBY):
            script.cause(at, FaultKind.DEAF, partner, HOME, lasts=lasts)
        script.ask(at + 0.01 * rng.random(), script.write(), 0)
        script.ask(at + lasts + 0.03 * rng.random(), Action.GET, rng.randrange(2))
        at += lasts + 0.06
    turned = {
        "ddb.wire.timeouts.DEFAULT.request_s": rng.choice((0.06, 0.09)),
        "ddb.wire.timeouts.DEFAULT.peer_s": 0.015,
    }
    return _stubborn(seed, script, CALM, 0.0, 0.5, turned, wired=rng.random() < 0.5)


def _forsaken(seed: int, rng: random.Random) -> Plan:
    """Break the connection to the only node that a gateway reaches."""
    script = Script(rng)
    length = 1.6
    left = rng.choice(NODES)
    script.route(((), tuple(node for node in NODES if node != left)), length)
    script.ask(0.0, Action.POST, 0)
    at = 0.05
    for _ in range(4):
        script.ask(at, script.write(), 1)
        breaks = at + 0.03 * rng.random()
        if rng.random() < 0.5:
            script.cause(breaks, FaultKind.KILL, left, lasts=0.3)
        else:
            script.cause(breaks, FaultKind.RESET, left, 1, lasts=0.0, amount=0.1)
            script.cause(breaks, FaultKind.BLIND, left, 1, lasts=0.25)
        script.ask(breaks + 0.3, Action.GET, 0)
        at = breaks + 0.4
    calm = (0.0005, 0.001, 0.0, 0.0, 0.0)
    return _stubborn(seed, script, calm, 0.0, 0.06, {}, wired=True, fsync=0.006)


def _stubborn(
    seed: int,
    script: Script,
    weather: tuple[float, float, float, float, float],
    lateness: float,
    timeout_s: float,
    turned: knobs.Knobs,
    *,
    wired: bool,
    fsync: float = 0.0004,
) -> Plan:
    return script.plan(
        seed,
        skew=script.rng.choice((0.0, 1.0)),
        weather=weather,
        lateness=lateness,
        fsync=fsync,
        partitions=2,
        turned={"ddb.wire.timeouts.DEFAULT.coordinator_s": timeout_s, **turned},
        wired=wired,
    )
