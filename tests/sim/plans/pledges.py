"""Plans of promises that outlive their rounds while standbys hand off hints."""

import random

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import HOME, PARTNER, STANDBY, Script

_ONE, _OTHER = range(2)
"""The gateways: the first reaches one home only, the second the other one."""
_CYCLES = 6
_RECORDS = 3


def pledges(seed: int, rng: random.Random) -> Plan:
    """Let a hint meet a promise, at its home or at its standby."""
    return rng.choice((_far_ahead, _dropped_hint, _overruled, _late_answer))(seed, rng)


def _far_ahead(seed: int, rng: random.Random) -> Plan:
    """Let a home whose clock is far ahead promise itself a round that reaches no other node.

    The ballots of the other two are far below that promise.
    """
    script = Script(rng)
    one = rng.choice((HOME, PARTNER, PARTNER))
    other = HOME + PARTNER - one
    records = rng.choice((1, 3))
    for number in range(records):
        if rng.random() < 0.7:
            script.ask(0.0, Action.POST, _OTHER, number)
    script.cause(0.02, FaultKind.CLOCK, one, lasts=3600.0, amount=0.6 + 0.4 * rng.random())
    lasts = 0.12 + 0.1 * rng.random()
    for node in (other, STANDBY):
        script.cause(0.03, FaultKind.RESET, one, node, lasts=0.0)
        script.cause(0.03, FaultKind.CUT, one, node, lasts=lasts)
    for number in range(records):
        script.ask(0.035 + 0.01 * rng.random(), script.write(0.3), _ONE, number)
        script.ask(0.04 + 0.04 * rng.random(), script.write(0.3), _OTHER, number)
    script.route(((other, STANDBY), (one,)), 0.04 + lasts)
    # This home reaches no peer and does not vote, so its gateway asks the others first.
    turned = {
        "ddb.wire.timeouts.DEFAULT.coordinator_s": 0.006,
        "ddb.wire.timeouts.DEFAULT.request_s": 0.04,
    }
    return _pledges(seed, script, turned, records=records)


def _dropped_hint(seed: int, rng: random.Random) -> Plan:
    """Let the standby promise one home's round, hand its hint off, and meet the other home.

    Both homes are ahead of the hint and do not reach each other. The first home's ballots are the
    newer ones.
    """
    script = Script(rng)
    one, other = _apart(script)
    at = 0.05
    for _ in range(_CYCLES):
        script.cause(at, FaultKind.CUT, one, other, lasts=0.03)
        script.ask(at + 0.01 + 0.005 * rng.random(), _change(script), _OTHER)
        script.ask(at + 0.036, _change(script), _ONE)
        back = at + 0.052
        script.cause(at, FaultKind.CUT, one, STANDBY, lasts=back - at)
        script.cause(at + 0.045, FaultKind.CUT, one, other, lasts=0.06)
        # The standby drops the hint between the two messages of the first home's round.
        slow = ((STANDBY, one), (one, STANDBY))[: rng.choice((1, 2))]
        for way in slow:
            script.cause(back - 0.005, FaultKind.SLOW_WAY, *way, lasts=0.04)
        script.ask(back + 0.005 + 0.006 * rng.random(), _change(script), _ONE)
        gone = back + 0.0025 + 0.01 * len(slow)
        script.ask(gone + 0.005 * rng.random(), _change(script), _OTHER)
        script.ask(back + 0.04, Action.GET, rng.choice((_ONE, _OTHER)))
        at = back + 0.08
    script.route(((other, STANDBY), (one, STANDBY)), at)
    return _pledges(seed, script, {"ddb.wire.timeouts.DEFAULT.peer_s": 0.03}, lateness=0.02)


def _overruled(seed: int, rng: random.Random) -> Plan:
    """Let a returning home begin a round while the standby hands off the hint for it.

    Its proposal takes longer than the handoff and the drop of the hint.
    """
    script = Script(rng)
    one, other = _apart(script)
    at = 0.05
    for _ in range(_CYCLES):
        back = at + 0.03
        script.cause(at, FaultKind.CUT, one, other, lasts=0.08)
        script.cause(at, FaultKind.CUT, one, STANDBY, lasts=back - at)
        script.ask(at + 0.01 + 0.005 * rng.random(), _change(script), _OTHER)
        amount = rng.choice((0.3, 0.6))
        script.cause(back - 0.005, FaultKind.SLOW_WAY, STANDBY, one, lasts=0.03, amount=amount)
        asked = back + 0.003 + 0.006 * rng.random()
        script.ask(asked, _change(script), _ONE)
        # Only messages sent as the request arrives are late.
        script.cause(asked + 0.0002, FaultKind.LAG, one, lasts=0.001)
        script.ask(back + 0.04, Action.GET, rng.choice((_ONE, _OTHER)))
        at = back + 0.09
    script.route(((other, STANDBY), (one, STANDBY)), at)
    return _pledges(seed, script, {"ddb.wire.timeouts.DEFAULT.peer_s": 0.03}, lateness=0.02)


def _late_answer(seed: int, rng: random.Random) -> Plan:
    """Let a home's reply reach the standby after the standby has dropped a newer hint.

    The homes do not reach each other. The other home decides with the standby meanwhile. So the
    first home's state is older than the state that both of them have by then.
    """
    script = Script(rng)
    at = 0.03
    for _ in range(_CYCLES):
        # Then a DELETE finds a record, and a POST finds an existing one.
        for number in range(_RECORDS):
            if rng.random() < 0.8:
                script.ask(at, Action.POST, _OTHER, number)
        at += 0.025
        reads = rng.random() < 0.5
        for number in range(_RECORDS):
            # A read follows the other home's change by 3 to 4 ms; a change precedes it.
            before = 0.003 + 0.001 * rng.random() if reads else -0.003 * rng.random()
            script.ask(at, Action.GET if reads else script.write(0.1, 0.5), _ONE, number)
            script.ask(at - before, _change(script), _OTHER, number)
            script.ask(at + 0.035, Action.GET, rng.choice((_ONE, _OTHER)), number)
        # Only that reply is late: replies to the handoff must come before it.
        begin, end = (0.0006, 0.0018) if reads else rng.choice(((0.0006, 0.0022), (0.0014, 0.0036)))
        amount = 1.0 + rng.random()
        way = (HOME, STANDBY)
        script.cause(at + begin, FaultKind.SLOW_WAY, *way, lasts=end - begin, amount=amount)
        at += 0.05
    script.cause(0.01, FaultKind.CUT, HOME, PARTNER, lasts=at)
    script.route(((HOME, PARTNER), (HOME, STANDBY)), at)
    pace = rng.choice((0.004, 0.008))
    turned = {
        "ddb.wire.timeouts.DEFAULT.peer_s": 0.03,
        "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": pace,
        "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": pace,
        "ddb.node.repair.handoff.HOME_TIMEOUT_S": 0.004,
    }
    return _pledges(seed, script, turned, records=_RECORDS)


def _apart(script: Script) -> tuple[int, int]:
    """Create a record and set one home's clock back; return both homes, that one last."""
    one = script.rng.choice((HOME, PARTNER))
    other = HOME + PARTNER - one
    script.ask(0.0, Action.POST, _ONE if one == HOME else _OTHER)
    script.cause(0.02, FaultKind.CLOCK, other, lasts=5.0, amount=0.0)
    return one, other


def _change(script: Script) -> Action:
    return script.write(0.1, 0.05)


def _pledges(
    seed: int,
    script: Script,
    turned: dict[str, float | int],
    *,
    records: int = 1,
    lateness: float = 0.0,
) -> Plan:
    rng = script.rng
    pace = rng.choice((0.0005, 0.002))
    return script.plan(
        seed,
        records=records,
        skew=rng.choice((0.0, 0.02)),
        weather=(0.0003, 0.0003, 0.0, 0.0, 0.0),
        lateness=lateness,
        fsync=0.0002,
        turned={
            "ddb.wire.timeouts.DEFAULT.coordinator_s": 0.1,
            "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": pace,
            "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": pace,
            "ddb.node.repair.handoff.HOME_TIMEOUT_S": 0.04,
            "ddb.node.repair.handoff_pacing.BUSY_PAUSE_FACTOR": 0.1,
            "ddb.wire.link.PING_INTERVAL_S": 0.003,
            "ddb.wire.in_flight.SWEEP_INTERVAL_S": 0.002,
            "ddb.wire.link.SUSPECT_AFTER_S": 0.006,
            **turned,
        },
        datagrams=True,
    )
