"""Plans with more changes of one record than its disks can flush in time."""

import random

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import HOME, PARTNER, STANDBY, Script

TURNED = "ddb.wire.timeouts.DEFAULT.begin_s"


def crowd(seed: int, rng: random.Random) -> Plan:
    """Let all clients change one record at once.

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
    turned: dict[str, float | int] = {}
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
