"""The checkers: what every run must satisfy, one function per property."""

import math
from collections.abc import Iterable

from ddb.ring.ring import key_of
from tests.sim import knobs, reads
from tests.sim.history import Answer, Call, Ended, Method
from tests.sim.linearizability import TooTangled, check
from tests.sim.observed import by_id, ended
from tests.sim.plan import FaultKind, Plan
from tests.sim.world import World

PROMISED = 0.250
"""Virtual seconds within which an answer is owed."""
SPACE = 2
_CUTTING = frozenset({FaultKind.ISOLATE, FaultKind.CUT, FaultKind.DEAF, FaultKind.BLIND})


def check_all(world: World) -> None:
    """Every checker that reads what was observed."""
    for checker in (
        linearizable,
        no_loss,
        once,
        available,
        honest,
        reads.listings,
        reads.pages,
        reads.counts,
        unexpected,
        cost,
    ):
        for violation in checker(world):
            world.observed.violate(checker.__name__, violation)


# 1 to 3: what clients were told of single records.


def linearizable(world: World) -> Iterable[str]:
    """GET, POST, PUT and DELETE of each record are explained by one order that respects time."""
    for record, calls in by_id(world.observed).items():
        try:
            verdict = check(calls)
            if verdict is not None:
                verdict = check(_eased(calls))
        except TooTangled:
            world.fired["too tangled"] += 1
            continue
        if verdict is not None:
            yield f"{record}: {verdict}"


def no_loss(world: World) -> Iterable[str]:
    """What was answered was sent: no value from nowhere, none of another record, no mixed fields.

    Independent of `linearizable`: every field of every body answered was sent for that record, by
    a call that began before the answer ended.
    """
    for record, calls in by_id(world.observed).items():
        first_sent: dict[tuple[str, object], float] = {}
        for call in calls:
            for sent in (call.body or {}).items():
                first_sent[sent] = min(call.invoked, first_sent.get(sent, call.invoked))
        for call in calls:
            body = call.answer.body if call.answer else None
            for name, value in (body or {}).items():
                if first_sent.get((name, value), math.inf) > (call.returned or 0):
                    yield f"{record}: nobody had sent {name}={value!r} when {call!r} was answered"


def once(world: World) -> Iterable[str]:
    """Between two acknowledged POSTs of one id there can have been a DELETE."""
    for record, calls in by_id(world.observed).items():
        created = sorted(
            (call for call in calls if call.method is Method.POST and ended(call, Ended.OK)),
            key=lambda call: call.invoked,
        )
        deleted = [
            call
            for call in calls
            if call.method is Method.DELETE
            and (call.answer is None or call.answer.kind in (Ended.OK, Ended.UNKNOWN))
        ]
        if len(created) > len(deleted) + 1:
            yield f"{record}: {len(created)} POSTs got 201, with {len(deleted)} DELETEs"


def _eased(calls: list[Call]) -> list[Call]:
    """The calls, where a retried change may answer with the record at a later moment of its span.

    The body it told counts as read beside it. A POST is then known to have left what it sent; what
    a PUT left is not known, so it counts as one that may have been, and the reading as its proof.
    """
    eased: list[Call] = []
    for call in calls:
        body = call.answer.body if call.answer else None
        if call.method is Method.PUT and ended(call, Ended.OK):
            eased.append(_as(call, Method.PUT, Answer(Ended.UNKNOWN)))
        elif call.method is Method.POST and ended(call, Ended.OK):
            eased.append(_as(call, Method.POST, Answer(Ended.OK, call.body)))
        else:
            eased.append(call)
            continue
        if body is not None:
            eased.append(_as(call, Method.GET, Answer(Ended.OK, body)))
    return eased


def _as(call: Call, method: Method, answer: Answer) -> Call:
    body = None if method is Method.GET else call.body
    return Call(
        call.client,
        method,
        call.id,
        body,
        call.invoked,
        call.returned,
        answer,
        None if method is Method.GET else call.match,
    )


# 6: what it costs.


def cost(world: World) -> Iterable[str]:
    """No message about a record goes outside its cell; without faults none beyond its homes.

    So a fault-free operation contacts two nodes. Under faults an operation takes at most
    `Cost.MOST` requests of its gateway.
    """
    if _owed(world.plan):
        yield from world.costs.complaints(fault_free=world.fault_free)
    else:
        yield from world.costs.outside


# 7: when an answer is owed.


def available(world: World) -> Iterable[str]:
    """With at most one node of a cell out of reach every request is decided within 250 ms."""
    if not _owed(world.plan):
        return
    for timed in world.observed.timed:
        names = world.ring.cell(key_of(timed.id)).nodes if timed.id else world.ring.names
        cell = set(names)
        out: set[str] = set()
        excused = False
        for trouble in world.observed.troubles:
            if trouble.start <= timed.returned and trouble.end >= timed.invoked:
                excused = excused or not trouble.nodes
                out |= cell.intersection(trouble.nodes)
        if excused or len(out) > 1:
            continue
        took = timed.returned - timed.invoked
        if not timed.decided or took > PROMISED:
            yield (
                f"{timed.id or 'all'} at {timed.invoked:.4f}: {timed.answer} after {took:.3f} s,"
                f" with {sorted(out) or 'nobody'} of {sorted(cell)} out of reach"
            )


def honest(world: World) -> Iterable[str]:
    """Where a crowd alone is the trouble, answers come in time, and no outcome is unknown.

    Nor does a coordinator with a long queue get a second one as a rival.
    """
    plan = world.plan
    if not plan.crowded or plan.faults or not knobs.shipped(plan.knobs):
        return
    for timed in world.observed.timed:
        took = timed.returned - timed.invoked
        if timed.answer == Ended.UNKNOWN.value or took > PROMISED:
            yield f"{timed.id} at {timed.invoked:.4f}: {timed.answer} after {took:.3f} s"
    for gateway in world.gateways:
        retries = gateway.router.counters.retries
        if retries:
            yield f"{gateway.name} sent {retries} operations to a second coordinator"


def _owed(plan: Plan) -> bool:
    # A request that alone is lost is waited for as long as with a node that answers others: three
    # times the patience. No connection does that; messages on their own do, where the way is cut.
    whole = plan.wired or not (
        plan.datagrams or any(fault.kind in _CUTTING for fault in plan.faults)
    )
    calm = not any(plan.weather[2:]) and not plan.early
    return whole and calm and not plan.crowded and knobs.shipped(plan.knobs)


# Besides.


def unexpected(world: World) -> Iterable[str]:
    """No handler, task or callback ended with an error that nobody expects."""
    yield from world.network.failures
    yield from world.loop.errors
