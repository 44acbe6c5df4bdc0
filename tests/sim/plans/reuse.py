"""Plans that use or send an Idempotency-Key again as its window ends.

The window is a second. Changes without keys go through one home, which forgets expired operations.
Keyed changes go through the other home too. Clients send them again after other changes.
"""

import random

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.script import HOME, PARTNER, STANDBY, Script

_ONE, _OTHER, _ANY = range(3)
"""The gateways: the first reaches one home only, the second the other one, the third all nodes."""
_WINDOW_S = 1.0
_GRAIN_S = 0.03
_STEP_S = 0.06


def reuse(seed: int, rng: random.Random) -> Plan:
    """Let clients repeat operations that a record must still remember."""
    return rng.choice((_again, _again, _late, _late, _full))(seed, rng)


def _again(seed: int, rng: random.Random) -> Plan:
    """Use a key again for the same request, once a coordinator has forgotten the first use.

    That coordinator changes the record between the second use and its retry.
    """
    script = Script(rng)
    script.ask(0.0, Action.POST, _ONE)
    first = 0.05 + 0.1 * rng.random()
    second = first + (1.5 + 0.2 * rng.random()) * _WINDOW_S
    # The change sets one field only, so a read shows if an old value comes back.
    for at, gateway in ((first, _ONE), (second, _OTHER)):
        again = rng.choice((0.15, 0.3))
        script.ask(
            at,
            Action.PUT,
            gateway,
            retries=1,
            repeat=at == second,
            pause=again,
            key="key",
            fields=("name",),
        )
    _talk(script, second + 0.5)
    return _plan(seed, script, second + 0.6)


def _late(seed: int, rng: random.Random) -> Plan:
    """Send keys one after the other, and each again within its window."""
    script = Script(rng)
    script.ask(0.0, Action.POST, _ONE)
    length = (1.2 + 0.6 * rng.random()) * _WINDOW_S
    at = 0.05
    while at < length:
        retries = rng.choice((1, 2))
        # A client sends no attempt that might end after the window of the first one.
        pause = (0.1 + 0.7 * rng.random()) * _WINDOW_S / retries
        gateway = rng.choice((_ONE, _OTHER, _ANY))
        action = script.write(0.05, 0.05)
        script.ask(at, action, gateway, retries=retries, repeat=True, pause=pause)
        at += 0.02 + 0.25 * rng.random()
    if rng.random() < 0.4:
        kind = rng.choice((FaultKind.KILL, FaultKind.PAUSE, FaultKind.ISOLATE, FaultKind.WIPE))
        node = rng.choice((HOME, PARTNER, STANDBY))
        script.cause(length * rng.random(), kind, node, lasts=0.02 + 0.3 * rng.random())
    _talk(script, length + _WINDOW_S)
    return _plan(seed, script, length + _WINDOW_S)


def _full(seed: int, rng: random.Random) -> Plan:
    """Send more keys at once than a record remembers, and lose some replies."""
    script = Script(rng)
    script.ask(0.0, Action.POST, _ONE)
    at = 0.05
    for _ in range(rng.choice((8, 16))):
        if rng.random() < 0.4:
            hears = rng.choice((HOME, PARTNER))
            lost = rng.choice((HOME + PARTNER - hears, STANDBY))
            script.cause(at, FaultKind.DEAF, lost, hears, lasts=0.01 + 0.08 * rng.random())
        # Some clients send one attempt only, and rely on its answer.
        script.ask(
            at,
            script.write(0.1, 0.1),
            rng.choice((_ONE, _OTHER, _ANY)),
            retries=rng.choice((0, 2)),
            repeat=rng.random() < 0.5,
            pause=0.01 + 0.1 * rng.random(),
            key=f"key at {at}",
        )
        at += 0.05 * rng.random()
    _talk(script, at + 0.2)
    return _plan(
        seed,
        script,
        at + 0.4,
        {"ddb.node.consensus.dedup_window.MAX_KEYED_ENTRIES": rng.choice((1, 3))},
    )


def _talk(script: Script, length: float) -> None:
    """Send changes without keys, mostly through one home, and reads."""
    rng, at = script.rng, 0.02
    while at < length:
        script.ask(at, Action.PUT, _ONE if rng.random() < 0.7 else _OTHER)
        for _ in range(2):
            script.ask(at + _STEP_S * rng.random(), Action.GET, _ANY)
        at += _STEP_S * (0.7 + 0.6 * rng.random())


def _plan(
    seed: int, script: Script, length: float, turned: dict[str, float | int] | None = None
) -> Plan:
    rng = script.rng
    script.route(((PARTNER, STANDBY), (HOME, STANDBY), ()), length)
    return script.plan(
        seed,
        gateways=3,
        skew=rng.choice((0.0, 1.0)),
        weather=(0.0003, rng.choice((0.0003, 0.002)), 0.0, 0.0, 0.0),
        fsync=0.0003,
        turned={
            "ddb.node.consensus.dedup_window.KEYED_WINDOW_S": _WINDOW_S,
            "ddb.node.consensus.dedup_window.GATEWAY_WINDOW_S": 0.6,
            "ddb.node.consensus.dedup_window.ISSUE_GRAIN_S": _GRAIN_S,
            "ddb.node.consensus.commit_gossip.NOTICE_INTERVAL_S": rng.choice((0.02, 0.1)),
            "ddb.record.keyed_log.SLICE_ENTRIES": rng.choice((1, 2, 256)),
            **(turned or {}),
        },
    )
