"""Plans of whole reads in the moment in which a standby gives home and lets go.

What was written while a home was away is then on that home a little after the standby no longer
has it to tell of, for whoever asks the home first and the standby last.
"""

import random

from tests.sim import knobs
from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import HOME, PARTNER, STANDBY, Script

_WRITER, _READER = range(2)
"""The gateways: one reaches everybody, the other one not always the home that stayed."""


def homecoming(seed: int, rng: random.Random) -> Plan:
    """A home returns, and a gateway that hears from the other home no more reads everything."""
    script = Script(rng)
    records = rng.choice((1, 1, 3))
    pace = rng.choice((0.001, 0.003))
    fsync = rng.choice((0.0003, 0.001))
    for number in range(records):
        if rng.random() < 0.6:
            script.ask(0.0, Action.POST, _WRITER, number)
    at = 0.03
    for _ in range(6):
        returns, stays = rng.sample((HOME, PARTNER), 2)
        lasts = 0.05 + 0.05 * rng.random()
        back = at + lasts
        script.cause(at, FaultKind.ISOLATE, returns, lasts=lasts)
        for _ in range(rng.choice((1, 1, 2))):
            script.ask(
                at + 0.01 + 0.6 * lasts * rng.random(),
                script.write(0.4, 0.3),
                _WRITER,
                rng.randrange(records),
            )
        if rng.random() < 0.8:
            # Hardly ever does a message fall out of the one moment that matters, so all do.
            unheard = rng.choice((at, back - 0.002 + 0.008 * rng.random()))
            script.cause(
                unheard, FaultKind.BLIND, stays, _READER, lasts=back + 0.04 - unheard, amount=0.9
            )
        dragged = rng.choice((STANDBY, STANDBY, STANDBY, returns))
        amount = 0.1 + 0.9 * rng.random()
        script.cause(back - 0.01, FaultKind.DRAG, dragged, _READER, lasts=0.05, amount=amount)
        for _ in range(4):
            moment = back - 0.002 + (pace + 0.006) * rng.random()
            script.ask(moment, rng.choice((Action.LIST, Action.COUNT)), _READER)
        at = back + 0.06 + 0.05 * rng.random()
    return Plan(
        seed=seed,
        salt=seed,
        nodes=3,
        gateways=2,
        records=records,
        skew=rng.choice((0.0, 1.0)),
        weather=(0.0003, 0.0005, 0.0, 0.0, 0.0),
        lateness=0.0,
        fsync=fsync,
        knobs={
            knobs.EVERYWHERE: 1,
            "ddb.node.coordinator.PATIENCE": 0.01,
            "ddb.gateway.router.PATIENCE": 0.02,
            "ddb.gateway.listing.PATIENCE": 0.02,
            "ddb.gateway.listing.MOST_WALKS": rng.choice((0, 0, 48)),
            "ddb.gateway.listing.FEW_WALKS": rng.choice((0, 4)),
            "ddb.node.handoff.IDLE": pace,
            "ddb.node.handoff.SOON": pace,
            "ddb.node.handoff.PATIENCE": 0.006,
            # Else it comes home long after the reads.
            "ddb.node.handoff.REST_BUSY": 0.1,
            "ddb.wire.link.PING_EVERY": 0.004,
            "ddb.wire.link.SWEEP_EVERY": 0.002,
        },
        ops=tuple(script.ops),
        faults=script.faults,
        datagrams=rng.random() < 0.5,
        by_role=True,
    )
