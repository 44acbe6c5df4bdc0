"""Plans of nodes that lose their promises or their disks."""

import random
from collections.abc import Mapping

from ddb.record.hybrid_clock import at_millisecond
from tests.sim.knobs import Knobs
from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import HOME, NODES, PARTNER, STANDBY, Script

QUICK: dict[str, float | int] = {
    "ddb.node.membership.bootstrap.POLL_INTERVAL_S": 0.004,
    "ddb.node.membership.bootstrap.PEER_TIMEOUT_S": 0.03,
    "ddb.node.repair.refill.SOURCE_TIMEOUT_S": 0.03,
    "ddb.wire.link.PING_INTERVAL_S": 0.01,
}


def renewal(seed: int, rng: random.Random) -> Plan:
    """Lose a disk while another node is behind; then cut the third one off."""
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
    return plan_of_losses(seed, rng, script, records, QUICK)


def plan_of_losses(
    seed: int, rng: random.Random, script: Script, records: int, quick: Knobs
) -> Plan:
    """Draw the disks, timeouts and pace that fit a script of lost or damaged copies.

    Args:
        records: the number of records.
        quick: the knobs that bring nodes back within the script.
    """
    slow = rng.choice((0.002, 0.02, 0.5, 0.5))
    return script.plan(
        seed,
        records=records,
        skew=rng.choice((0.0, 1.0)),
        fsync=rng.choice((0.0004, 0.004)),
        turned={
            "ddb.wire.timeouts.DEFAULT.peer_s": 0.015,
            "ddb.wire.timeouts.DEFAULT.coordinator_s": 0.03,
            "ddb.wire.timeouts.DEFAULT.scan_s": 0.03,
            "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": slow,
            "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": slow,
            "ddb.node.repair.refill_source.PAGE_ROWS": rng.choice((1, 500)),
            **quick,
        },
        datagrams=rng.random() < 0.7,
    )


def amnesia(seed: int, rng: random.Random) -> Plan:
    """Let messages outlive the promises or the disk of the node that they concern."""
    return rng.choice((_restarts, _outlived, _again, _unseen))(seed, rng)


def _restarts(seed: int, rng: random.Random) -> Plan:
    """Restart the node that two coordinators share between the messages of their rounds."""
    script = Script(rng)
    length = 0.5
    forgets = meeting(script, length)
    at = 0.04
    while at < length:
        overlap(script, at, rng.choice((-0.0004, 0.0006, 0.003, 0.0045)))
        script.cause(at, FaultKind.LAG, forgets, lasts=0.003)
        kind = rng.choice((FaultKind.KILL, FaultKind.POWER))
        moment = at + 0.0005 + 0.002 * rng.random()
        script.cause(moment, kind, forgets, lasts=0.0002 + 0.0004 * rng.random())
        script.ask(at + 0.02 + 0.01 * rng.random(), script.write(0.1, 0.05), 0)
        at += 0.05 + 0.02 * rng.random()
    return amnesiac(seed, script, 0.06)


def _outlived(seed: int, rng: random.Random) -> Plan:
    """Lose the disk of the node that two coordinators share, between two messages of a round."""
    script = Script(rng)
    length = 0.7
    forgets = meeting(script, length)
    at = 0.04
    while at < length:
        overlap(script, at, rng.choice((-0.0012, 0.012, 0.018, 0.025)))
        _outlive(script, at, forgets)
        for gateway in range(2):
            script.ask(at + 0.05 + 0.02 * rng.random(), script.write(0.1, 0.05), gateway)
        at += 0.09 + 0.03 * rng.random()
    return amnesiac(seed, script, 0.06)


def _again(seed: int, rng: random.Random) -> Plan:
    """Lose a coordinator's disk and counters while its proposal is in flight.

    Its clock has jumped back, so its counters grow by one each. The others issue none. It makes one
    more proposal with its new disk. Then a client reads from the other home.
    """
    script = Script(rng)
    length = 0.8
    forgets = rng.choice((HOME, PARTNER))
    other = HOME + PARTNER - forgets
    script.cause(0.03, FaultKind.CLOCK, forgets, lasts=5.0, amount=0.0)
    script.route(((other, STANDBY), (forgets,)), length)
    script.ask(0.0, Action.POST, 0)
    at = 0.05
    while at < length - 0.1:
        begun = at - 0.0002 - 0.0003 * rng.random()
        script.ask(begun, script.write(0.05, 0.05), 0, timeout_s=0.003, cancels=True)
        _outlive(script, at, forgets)
        again = at + 0.04 + 0.03 * rng.random()
        script.ask(again, script.write(0.1, 0.05), 0)
        for _ in range(2):
            script.ask(again + 0.004 + 0.03 * rng.random(), Action.GET, 1)
        at = again + 0.06 + 0.03 * rng.random()
    return amnesiac(seed, script, rng.choice((0.01, 0.03)))


def _unseen(seed: int, rng: random.Random) -> Plan:
    """Lose a coordinator's disk while its proposal is in flight and no node has seen it.

    The proposal builds on an old copy, since the two others have decided without this node. It
    arrives after the standby has handed their change off to both homes and dropped the hint.
    """
    script = Script(rng)
    loses = rng.choice((HOME, HOME, PARTNER))
    other = HOME + PARTNER - loses
    script.route(((other, STANDBY), (loses,)), 0.6)
    script.ask(0.0, Action.POST, 0)
    at = 0.1
    script.cause(at, FaultKind.CUT, loses, other, lasts=0.06)
    script.cause(at, FaultKind.CUT, loses, STANDBY, lasts=0.028)
    script.ask(at + 0.012, Action.PUT, 1)
    sent = at + 0.029 + 0.002 * rng.random()
    late = 12 + 6 * rng.random()
    script.cause(sent - 0.001, FaultKind.SLOW_WAY, loses, STANDBY, lasts=0.012, amount=late)
    script.ask(sent, Action.PUT, 0)
    script.cause(sent + 0.012, FaultKind.WIPE, loses, lasts=0.001)
    if rng.random() < 0.3:
        # The target of the proposal restarts, and forgets which processes greeted it.
        script.cause(sent + 0.07, FaultKind.KILL, STANDBY, lasts=0.002)
    for moment in (0.1, 0.14, 0.18):
        script.ask(sent + moment, Action.GET, 1)
    for _ in range(6):
        script.ask(sent + 0.25 + 0.3 * rng.random(), Action.GET, 1)
    handing = rng.choice((0.002, 0.005))
    return script.plan(
        seed,
        skew=rng.choice((0.0, 0.02)),
        fsync=0.0002,
        turned={
            **QUICK,
            "ddb.wire.timeouts.DEFAULT.peer_s": 0.005,
            "ddb.wire.timeouts.DEFAULT.coordinator_s": 0.3,
            "ddb.wire.timeouts.DEFAULT.request_s": 0.225,
            "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": handing,
            "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": handing,
            "ddb.node.repair.handoff_pacing.BUSY_PAUSE_FACTOR": 0.1,
            "ddb.node.repair.handoff.HOME_TIMEOUT_S": 0.02,
            "ddb.node.replica.ballots.RESERVED_AHEAD": at_millisecond(rng.choice((1, 2))),
            "ddb.wire.link.PING_INTERVAL_S": 0.004,
            "ddb.wire.in_flight.SWEEP_INTERVAL_S": 0.002,
            "ddb.wire.link.SUSPECT_AFTER_S": 0.01,
        },
        datagrams=rng.random() < 0.3,
    )


def meeting(script: Script, length: float) -> int:
    """Set up two coordinators that reach one node but not each other; return that node.

    Each has a gateway. The first one's clock has jumped back, so its ballots are the older ones.
    """
    meeting = script.rng.choice((HOME, PARTNER))
    first, second = (node for node in NODES if node != meeting)
    script.route(((meeting, second), (meeting, first)), length)
    script.cause(0.0, FaultKind.CUT, first, second, lasts=length)
    script.cause(0.02, FaultKind.CLOCK, first, lasts=5.0, amount=0.0)
    script.ask(0.0, Action.POST, 0)
    return meeting


def overlap(script: Script, at: float, later: float) -> None:
    """Begin a round of each coordinator.

    Args:
        at: the second coordinator begins up to 1.6 ms before this moment.
        later: seconds from `at` until the first one begins; up to half as many are added.
    """
    rng = script.rng
    script.ask(at - 0.0008 - 0.0008 * rng.random(), script.write(0.1, 0.05), 1)
    script.ask(at + later * (1 + 0.5 * rng.random()), script.write(0.1, 0.05), 0)


def _outlive(script: Script, at: float, forgets: int) -> None:
    """Delay some messages, and lose a disk and refill it meanwhile."""
    rng = script.rng
    script.cause(at, FaultKind.LAG, forgets, lasts=0.004)
    moment = at + 0.002 + 0.002 * rng.random()
    script.cause(moment, FaultKind.WIPE, forgets, lasts=0.0003 + 0.0007 * rng.random())


def amnesiac(
    seed: int,
    script: Script,
    timeout_s: float,
    quick: Mapping[str, float | int] = QUICK,
    *,
    records: int = 1,
    partitions: int = 1,
) -> Plan:
    """Make the plan of a script in which messages outlive a node's state.

    Args:
        timeout_s: the coordinators' timeout for a partner.
        quick: knobs that speed formation, refill and pings up.
        records, partitions: as for `Script.plan`.
    """
    rng = script.rng
    handing = rng.choice((0.002, 0.05))
    return script.plan(
        seed,
        records=records,
        partitions=partitions,
        skew=rng.choice((0.02, 1.0, 1.0)),
        weather=(0.0003, 0.0003, 0.0, 0.0, 0.0),
        lateness=0.05,
        fsync=0.0002,
        turned={
            "ddb.wire.timeouts.DEFAULT.peer_s": timeout_s,
            "ddb.wire.timeouts.DEFAULT.coordinator_s": max(0.2, 2 * timeout_s),
            "ddb.wire.timeouts.DEFAULT.request_s": max(0.3, 2 * timeout_s),
            "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": handing,
            "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": handing,
            "ddb.node.repair.handoff.HOME_TIMEOUT_S": 0.02,
            # Otherwise a restarted node's Hello carries a counter ahead of all clocks.
            "ddb.node.replica.ballots.RESERVED_AHEAD": at_millisecond(rng.choice((1, 2, 2000))),
            **quick,
        },
        datagrams=True,
    )
