"""Plans of commit notices about rounds whose end the sender has not seen.

A home proposes, one other node stores, and its reply is lost. A node that reads too much into the
home's commit notices then shows a state that only one node stores. That node leaves next.
"""

import random

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import HOME, NODES, PARTNER, STANDBY, Script

_WRITER, _READER = range(2)
"""The gateways: the first reaches the coordinator only, the second all nodes."""
_CYCLES = 5
_BUDGET_S = 0.06
_SHORT_BUDGET_S = 0.03


def hearsay(seed: int, rng: random.Random) -> Plan:
    """Let a coordinator send commit notices without the end of one of its rounds."""
    return rng.choice((_leaves, _leaves, _undone, _observed))(seed, rng)


def _undone(seed: int, rng: random.Random) -> Plan:
    """Leave a change on one home, and let its coordinator decide the next without it.

    A gateway that reads both homes meets the change. At worst it reads one home before the next
    change and the other one after it.
    """
    script = Script(rng)
    speaks = rng.choice((HOME, PARTNER))
    stores = HOME + PARTNER - speaks
    script.ask(0.0, Action.POST, _WRITER)
    at = 0.03
    for _ in range(_CYCLES):
        killed = rng.random() < 0.4
        script.ask(at, _change(script), _WRITER)
        over = at + _SHORT_BUDGET_S + 0.01
        hears_again = over + 0.002 + 0.008 * rng.random()
        script.cause(at - 0.001, FaultKind.CUT, speaks, STANDBY, lasts=over - at)
        script.cause(at, FaultKind.DEAF, stores, speaks, lasts=hears_again - at)
        if killed:
            script.cause(at + 0.003, FaultKind.KILL, speaks, lasts=0.002)
            script.cause(at + 0.003, FaultKind.CUT, speaks, stores, lasts=0.09)
        script.ask(over + 0.001, _change(script), _WRITER)
        slow = rng.choice((stores, stores, stores, speaks))
        amount = 0.4 + 0.8 * rng.random()
        script.cause(at, FaultKind.SLOW_ASK, slow, _READER, lasts=0.1, amount=amount)
        for _ in range(10):
            script.ask(over + 0.03 * rng.random() - 0.02, Action.GET, _READER)
        at += 0.14 + 0.02 * rng.random()
    script.route((tuple(node for node in NODES if node != speaks), ()), at)
    return _plan(seed, script, _SHORT_BUDGET_S, rng.choice((0.0015, 0.003)), 0.12)


def _observed(seed: int, rng: random.Random) -> Plan:
    """Let a node observe a counter ahead of its own, then report, restart and propose.

    The standby restarts. Its Hello carries its ceiling, two seconds ahead of all clocks. The
    coordinator does not meet it again after its own restart, so it issues ballots below that.
    """
    script = Script(rng)
    speaks = rng.choice((HOME, PARTNER))
    stores = HOME + PARTNER - speaks
    script.ask(0.0, Action.POST, _WRITER)
    # Without a change of its own the standby has no ceiling.
    script.cause(0.05, FaultKind.CUT, STANDBY, HOME, lasts=0.1)
    script.cause(0.05, FaultKind.CUT, STANDBY, PARTNER, lasts=0.1)
    for home in (HOME, PARTNER):
        script.cause(0.05, FaultKind.BLIND, home, _READER, lasts=0.08)
    script.ask(0.07, Action.PUT, _READER)
    at = 0.16
    for _ in range(2):
        script.cause(at, FaultKind.KILL, STANDBY, lasts=0.003)
        restarts = at + 0.12 + 0.04 * rng.random()
        script.cause(restarts - 0.02, FaultKind.CUT, speaks, STANDBY, lasts=0.25)
        script.cause(restarts, FaultKind.KILL, speaks, lasts=0.003)
        asked = restarts + 0.08 + 0.01 * rng.random()
        script.cause(asked - 0.002, FaultKind.DEAF, stores, speaks, lasts=0.2)
        script.ask(asked, _change(script), _WRITER)
        gone = asked + _BUDGET_S
        script.cause(gone, FaultKind.ISOLATE, speaks, lasts=0.15)
        for _ in range(3):
            script.ask(gone + 0.08 + 0.05 * rng.random(), Action.GET, _READER)
        back = gone + 0.15
        script.cause(back - 0.003, FaultKind.ISOLATE, stores, lasts=0.2)
        for _ in range(3):
            script.ask(back + 0.03 + 0.12 * rng.random(), Action.GET, _READER)
        at = back + 0.3
    script.route(((stores, STANDBY), ()), at)
    return _plan(seed, script, _BUDGET_S, rng.choice((0.003, 0.006)), 0.02)


def _leaves(seed: int, rng: random.Random) -> Plan:
    """Let a coordinator send notices after a round without an end, then leave; clients read."""
    script = Script(rng)
    speaks = rng.choice((HOME, PARTNER))
    script.ask(0.0, Action.POST, _WRITER)
    at = 0.03
    for _ in range(_CYCLES):
        stores = rng.choice((HOME + PARTNER - speaks, HOME + PARTNER - speaks, STANDBY))
        (third,) = (node for node in NODES if node not in (speaks, stores))
        ends = (_killed if rng.random() < 0.5 else _silenced)(script, at, speaks, stores)
        # The notice takes a moment. Then the coordinator is out of reach.
        leaves = ends + 0.01 + 0.015 * rng.random()
        back = leaves + 0.06
        script.cause(at - 0.01, FaultKind.CUT, speaks, third, lasts=leaves - at + 0.02)
        script.cause(leaves, FaultKind.ISOLATE, speaks, lasts=back - leaves)
        for _ in range(2):
            script.ask(leaves + 0.002 + 0.03 * rng.random(), script.read(0.5), _READER)
        script.cause(back - 0.002, FaultKind.ISOLATE, stores, lasts=0.062)
        for _ in range(2):
            action = script.read(0.3) if rng.random() < 0.7 else script.write(0.1, 0.1)
            script.ask(back + 0.004 + 0.03 * rng.random(), action, _READER)
        at = back + 0.09 + 0.03 * rng.random()
    script.route((tuple(node for node in NODES if node != speaks), ()), at)
    return _plan(seed, script, _BUDGET_S, rng.choice((0.003, 0.006)), 0.02)


def _plan(seed: int, script: Script, budget: float, every: float, suspect: float) -> Plan:
    """Make the plan of a script.

    Args:
        budget: seconds until the deadline of a request.
        every: seconds between two commit notices.
        suspect: seconds of silence until a process suspects a peer.
    """
    rng = script.rng
    return script.plan(
        seed,
        skew=rng.choice((0.0, 1.0)),
        fsync=0.0003,
        turned={
            "ddb.node.consensus.commit_gossip.NOTICE_INTERVAL_S": every,
            "ddb.wire.timeouts.DEFAULT.peer_s": 0.006,
            "ddb.wire.timeouts.DEFAULT.request_s": budget,
            "ddb.wire.timeouts.DEFAULT.coordinator_s": 0.015,
            "ddb.wire.timeouts.DEFAULT.scan_s": 0.015,
            "ddb.gateway.listing.count.MAX_RANGE_READS": rng.choice((0, 16)),
            "ddb.wire.link.PING_INTERVAL_S": 0.004,
            "ddb.wire.in_flight.SWEEP_INTERVAL_S": 0.002,
            "ddb.wire.link.SUSPECT_AFTER_S": suspect,
        },
        datagrams=rng.random() < 0.5,
    )


def _silenced(script: Script, at: float, speaks: int, stores: int) -> float:
    """Lose the partner's replies for as long as a change may take; return when that ends."""
    rng = script.rng
    script.ask(at + 0.002 * rng.random(), _change(script), _WRITER)
    lasts = rng.choice((0.01, _BUDGET_S + 0.01, _BUDGET_S + 0.01))
    script.cause(at, FaultKind.DEAF, stores, speaks, lasts=lasts)
    if rng.random() < 0.5:
        return at + lasts
    # Then the coordinator's next attempts reach no node.
    for node in NODES:
        if node != speaks:
            script.cause(at + 0.6 * lasts, FaultKind.RESET, speaks, node, lasts=0.0)
    return at + lasts + 0.03


def _killed(script: Script, at: float, speaks: int, stores: int) -> float:
    """Kill the coordinator before its partner's reply arrives; return when it is back."""
    rng = script.rng
    script.ask(at, _change(script), _WRITER)
    dies = at + 0.002 + 0.002 * rng.random()
    script.cause(at, FaultKind.DEAF, stores, speaks, lasts=dies - at + 0.001)
    lasts = 0.001 + 0.003 * rng.random()
    script.cause(dies, rng.choice((FaultKind.KILL, FaultKind.POWER)), speaks, lasts=lasts)
    return dies + lasts


def _change(script: Script) -> Action:
    return script.write(0.3, 0.1)
