"""Plans of one outage at a time: of one node, of nodes in turn, or by power failures."""

import random

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import HOME, NODES, PARTNER, STANDBY, Script

_LONE = (
    FaultKind.KILL,
    FaultKind.POWER,
    FaultKind.DIES_TWICE,
    FaultKind.PAUSE,
    FaultKind.ISOLATE,
    FaultKind.WIPE,
    FaultKind.IO_ERROR,
    FaultKind.DISK_FULL,
    FaultKind.RESET,
    FaultKind.CUT,
    FaultKind.DEAF,
    FaultKind.CLOCK,
)
_BETWEEN = (FaultKind.CUT, FaultKind.DEAF)


def lone(seed: int, rng: random.Random) -> Plan:
    """Let at most one node fail, with shipped timeouts, so each answer must come in time."""
    return _stuttering(seed, rng) if rng.random() < 0.1 else _failing(seed, rng)


def _stuttering(seed: int, rng: random.Random) -> Plan:
    """Let a node return without some changes, and then run for a moment at a time.

    LIST and COUNT ask the nodes several times then, and each reply of this node is late.
    """
    script = Script(rng)
    records = 8
    victim = rng.choice(NODES)
    for number in range(records):
        script.ask(0.01 * rng.random(), Action.POST, 0, number)
    script.cause(0.1, FaultKind.ISOLATE, victim, lasts=0.2)
    for number in range(records):
        script.ask(0.12 + 0.1 * rng.random(), Action.PUT, 0, number)
    at = 0.33 + 0.01 * rng.random()
    while at < 1.0:
        lasts = 0.03 + 0.025 * rng.random()
        script.cause(at, FaultKind.PAUSE, victim, lasts=lasts)
        at += lasts + 0.001 + 0.002 * rng.random()
    for _ in range(30):
        action = rng.choice((Action.COUNT, Action.LIST))
        script.ask(0.34 + 0.6 * rng.random(), action, 0, rng.randrange(records))
    return script.plan(
        seed,
        records=records,
        skew=0.0,
        weather=(0.0003, 0.0002, 0.0, 0.0, 0.0),
        fsync=0.0004,
        partitions=2,
        turned={"ddb.gateway.listing.range_read.MAX_SCAN_ROWS": 1},
        wired=rng.random() < 0.7,
    )


def _failing(seed: int, rng: random.Random) -> Plan:
    script = Script(rng)
    nodes = rng.choice((3, 3, 3, 4, 5, 7))
    records = rng.choice((1, 1, 3, 8))
    gateways = rng.choice((1, 2))
    calm = rng.random() < 0.35
    length = 0.3 if calm else 1.2
    victim, at = rng.randrange(nodes), 0.1
    while not calm and at < length:
        kind, lasts = rng.choice(_LONE), rng.choice((0.05, 0.2, 0.6))
        fuse = rng.choice((0, 20))
        # A gateway may still reach a node that is cut off from all its peers.
        among = kind in _BETWEEN and rng.random() < 0.5
        for way in range(1, nodes) if among else (rng.randrange(1, nodes),):
            other = (victim + way) % nodes
            script.cause(at, kind, victim, other, lasts=lasts, fuse=fuse, amount=0.9)
        at += lasts + 0.5 * rng.random()
    for number in range(records):
        script.ask(0.02 * rng.random(), Action.POST, 0, number)
    for _ in range(60):
        writes = rng.random() < 0.6
        script.ask(
            0.02 + length * rng.random(),
            script.write() if writes else script.read(),
            rng.randrange(gateways),
            0 if rng.random() < 0.6 else rng.randrange(records),
        )
    turned: dict[str, float | int] = {}
    if rng.random() < 0.5:
        turned["ddb.gateway.listing.range_read.MAX_SCAN_ROWS"] = rng.choice((1, 2))
    return script.plan(
        seed,
        nodes=nodes,
        gateways=gateways,
        records=records,
        skew=rng.choice((0.0, 0.5, 3600.0)),
        weather=(0.0003, rng.choice((0.0002, 0.001)), 0.0, 0.0, 0.0),
        fsync=rng.choice((0.0004, 0.002)),
        partitions=rng.choice((2, 8)),
        turned=turned,
        wired=rng.random() < 0.7,
    )


def seesaw(seed: int, rng: random.Random) -> Plan:
    """Let clients write while one node is away, and read while another one is."""
    script = Script(rng)
    records = rng.choice((1, 1, 4))
    gateways = 2
    reboots = rng.random() < 0.4
    fsync = rng.choice((0.004, 0.02) if reboots else (0.0004, 0.004))
    whole = rng.choice((0.1, 0.5))
    at = 0.01
    for number in range(1, records, 2):
        script.ask(0.0, Action.POST, 0, number)
    script.ask(0.0, Action.POST, 0)
    for cycle in range(6):
        away, lasts = rng.choice((HOME, PARTNER, PARTNER, STANDBY)), 0.06 + 0.1 * rng.random()
        leaves = rng.choice((FaultKind.ISOLATE, FaultKind.ISOLATE, FaultKind.KILL, FaultKind.PAUSE))
        script.cause(at, leaves, away, lasts=lasts)
        for _ in range(rng.choice((1, 2))):
            script.ask(
                at + lasts * 0.6 * rng.random(),
                script.write(0.4 if records > 1 else 0.1),
                rng.randrange(gateways),
                rng.randrange(records),
            )
        back = at + lasts
        if reboots:
            moment = back + (0.01 + 2 * fsync) * rng.random()
            script.cause(moment, FaultKind.POWER, away, lasts=0.001 + 0.004 * rng.random())
            back = moment
        others = [node for node in NODES if node != away]
        leaves_next = back + rng.choice((0.0, 0.005, 0.03)) * rng.random() - 0.002
        script.cause(
            leaves_next,
            rng.choice((FaultKind.ISOLATE, FaultKind.KILL)),
            rng.choice(others),
            lasts=0.12,
        )
        # A read repairs, so after the last write there are often no reads.
        for _ in range(rng.choice((2, 4) if cycle < 5 else (0, 0, 2))):
            script.ask(
                leaves_next + 0.01 + 0.09 * rng.random(),
                script.read(whole),
                rng.randrange(gateways),
                rng.randrange(records),
            )
        at = leaves_next + 0.12 + rng.choice((0.02, 0.08))
    timeout_s = rng.choice((0.006, 0.015)) + fsync
    return script.plan(
        seed,
        gateways=gateways,
        records=records,
        skew=rng.choice((0.0, 1.0, 3600.0)),
        fsync=fsync,
        turned={
            "ddb.wire.timeouts.DEFAULT.peer_s": timeout_s,
            "ddb.wire.timeouts.DEFAULT.coordinator_s": 2 * timeout_s,
            "ddb.wire.timeouts.DEFAULT.scan_s": 2 * timeout_s,
            "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": rng.choice((0.002, 0.02, 0.4)),
            "ddb.node.repair.handoff_pacing.BUSY_SWEEP_INTERVAL_S": rng.choice((0.002, 0.02, 0.4)),
            "ddb.node.repair.handoff.HOME_TIMEOUT_S": 0.01 + 2 * fsync,
            "ddb.wire.link.PING_INTERVAL_S": 0.01,
        },
        datagrams=rng.random() < 0.5,
    )


def volatile(seed: int, rng: random.Random) -> Plan:
    """Fail the power of a node whose writes are not durable but in other nodes' replies."""
    return _handed_off(seed, rng) if rng.random() < 0.3 else _replied(seed, rng)


def _handed_off(seed: int, rng: random.Random) -> Plan:
    """Fail the power of a standby after it has offered a hint to the home that proposed it.

    The partner is away during the write. Then the home is away, and the two others answer.
    """
    script = Script(rng)
    fsync = rng.choice((0.015, 0.03))
    cycle, cycles = 0.4 + 30 * fsync, 3
    script.ask(0.0, Action.POST, 0)
    at = 0.1 + 2 * fsync
    for _ in range(cycles):
        returns = 0.1 + 12 * fsync
        script.cause(at, FaultKind.ISOLATE, PARTNER, lasts=returns)
        # By the write, this read has made the partner suspect.
        script.ask(at + 0.01, Action.GET, 0)
        writes = at + 0.03 + 5 * fsync
        script.ask(writes, Action.PUT, 0)
        strikes = writes + 0.002 + (0.1 + 0.9 * rng.random()) * fsync
        script.cause(strikes, FaultKind.POWER, STANDBY, lasts=0.001 + 0.003 * rng.random())
        for _ in range(4):
            script.ask(strikes + 5 * fsync * rng.random(), Action.GET, rng.randrange(3))
        script.cause(at + returns - 0.001, FaultKind.ISOLATE, HOME, lasts=0.1 + 15 * fsync)
        for later in (0.05, 0.05 + 6 * fsync, 0.05 + 7 * fsync):
            script.ask(at + returns + later, Action.GET, rng.randrange(3))
        at += cycle
    turned = {
        "ddb.node.repair.handoff_pacing.IDLE_SWEEP_INTERVAL_S": 0.002,
        # The write ends before the partner returns, or a retry of it would restore the state.
        "ddb.wire.timeouts.DEFAULT.request_s": 0.25,
    }
    return _volatile(seed, script, fsync, turned)


def _replied(seed: int, rng: random.Random) -> Plan:
    """Fail the power of a node while its writes are in flight to the disk."""
    script = Script(rng)
    fsync = rng.choice((0.006, 0.015, 0.03))
    cycle = 0.2 + 6 * fsync
    cycles = 6
    script.route(((), (HOME,), ()), cycle * (cycles + 1))
    script.ask(0.0, Action.POST, 0)
    at = 0.1 + 2 * fsync
    for _ in range(cycles):
        script.ask(at, script.write(), rng.randrange(2))
        for _ in range(3):
            script.ask(at + 4 * fsync * rng.random(), script.read(0.4), 2)
        struck = rng.choice((HOME, PARTNER, HOME, PARTNER, STANDBY))
        spared = rng.choice([node for node in NODES if node != struck])
        strikes = at + (0.1 + 3.5 * rng.random()) * fsync
        script.cause(strikes, FaultKind.POWER, struck, lasts=0.001 + 0.003 * rng.random())
        leaves = strikes + rng.choice((-0.001, 0.003, fsync, 2 * fsync))
        script.cause(
            leaves,
            rng.choice((FaultKind.ISOLATE, FaultKind.ISOLATE, FaultKind.PAUSE)),
            spared,
            lasts=0.14,
        )
        for _ in range(2):
            script.ask(leaves + 0.01 + 0.1 * rng.random(), script.read(0.1), rng.randrange(3))
        at += cycle
    return _volatile(seed, script, fsync, {})


def _volatile(seed: int, script: Script, fsync: float, turned: dict[str, float | int]) -> Plan:
    rng = script.rng
    return script.plan(
        seed,
        gateways=3,
        skew=rng.choice((0.0, 1.0)),
        weather=(0.0003, 0.0003, 0.0, 0.0, 0.0),
        fsync=fsync,
        turned={
            "ddb.wire.timeouts.DEFAULT.peer_s": 2.5 * fsync,
            "ddb.wire.timeouts.DEFAULT.coordinator_s": 5 * fsync,
            "ddb.wire.timeouts.DEFAULT.request_s": 1.0,
            "ddb.wire.timeouts.DEFAULT.scan_s": 3 * fsync,
            "ddb.wire.timeouts.DEFAULT.flush_overdue_s": 5 * fsync,
            "ddb.wire.link.PING_INTERVAL_S": 0.01,
            **turned,
        },
        datagrams=rng.random() < 0.6,
    )
