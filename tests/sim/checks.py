"""The checkers of the observed history: one function per promise."""

import math
from collections.abc import Iterable

from ddb.ring.ring import key_of
from tests.sim import knobs, reads
from tests.sim.history import Answer, Call, Ended, Method
from tests.sim.linearizability import TooTangled, check
from tests.sim.observed import by_id, ended
from tests.sim.plan import FaultKind, Plan
from tests.sim.world import World

ANSWER_WITHIN_S = 0.250
"""Virtual seconds within which a client must get an answer; the documents promise it."""
OPERATIONS_PER_RETRY = 20
"""Least operations of a crowd for each one that a second coordinator gets.

Flushes of random length can together exceed the time that a gateway waits for a change that has
begun. Too low: blames no gateway that sends every refused change on. Too high: blames such a round.
"""
_CUTTING = frozenset({FaultKind.ISOLATE, FaultKind.CUT, FaultKind.DEAF, FaultKind.BLIND})


def check_all(world: World) -> None:
    """Run all checkers of what was observed and note each violation."""
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


# 1 to 3: answers about single records.


def linearizable(world: World) -> Iterable[str]:
    """One order of all calls on a record explains each answer and respects time."""
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
    """A client sent each field of each answer for that record before the answer ended.

    So no value comes from another record, or from no client. This does not rely on `linearizable`.
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
                    yield f"{record}: no client had sent {name}={value!r} before {call!r} ended"


def once(world: World) -> Iterable[str]:
    """A record has at most one more acknowledged POST than DELETEs that may have succeeded."""
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
    """Return the calls in which a retried change may answer with a later record.

    The retry of a change that has succeeded returns the record of that later moment. So the body
    counts as a GET of its own. A POST left the body that it sent. The record after a PUT is
    unclear, so the PUT counts as one of unknown outcome.
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


# 6: the cost of an operation.


def cost(world: World) -> Iterable[str]:
    """No message about a record leaves its cell; without faults none leaves its homes.

    So a fault-free operation contacts two nodes. Under faults a gateway sends at most
    `costs.MOST_ATTEMPTS` requests for one change.
    """
    if _owed(world.plan):
        yield from world.costs.complaints(fault_free=world.fault_free)
    else:
        yield from world.costs.outside


# 7: answers in time.


def available(world: World) -> Iterable[str]:
    """With at most one node of a cell out of reach, each request is decided within 250 ms.

    A node that fails, returns and fails again may leave a request on one record undecided.
    """
    if not _owed(world.plan):
        return
    for timed in world.observed.timed:
        names = world.ring.cell(key_of(timed.id)).nodes if timed.id else world.ring.names
        cell = set(names)
        troubled: set[str] = set()
        excused = failed_again = False
        for trouble in world.observed.troubles:
            if trouble.start <= timed.returned and trouble.end >= timed.invoked:
                excused = excused or not trouble.nodes
                concerned = cell.intersection(trouble.nodes)
                # The troubles are in the order of their beginning.
                again = trouble.start > timed.invoked and not troubled.isdisjoint(concerned)
                failed_again = failed_again or (again and timed.id is not None)
                troubled |= concerned
        if excused or len(troubled) > 1:
            continue
        took = timed.returned - timed.invoked
        if took > ANSWER_WITHIN_S or not (timed.decided or failed_again):
            yield (
                f"{timed.id or 'all'} at {timed.invoked:.4f}: {timed.answer} after {took:.3f} s,"
                f" with {sorted(troubled) or 'none'} of {sorted(cell)} out of reach"
            )


def honest(world: World) -> Iterable[str]:
    """In a crowd without faults, answers come in time and no outcome is unknown.

    Nor does a gateway send a change to a second coordinator because the first one has a queue. A
    keyed change may be unknown: an attempt that the client lost may still take effect.
    """
    plan = world.plan
    if not plan.crowded or plan.faults or not knobs.shipped(plan.knobs):
        return
    for timed in world.observed.timed:
        took = timed.returned - timed.invoked
        unknown = timed.answer == Ended.UNKNOWN.value and not timed.keyed
        if unknown or took > ANSWER_WITHIN_S:
            yield f"{timed.id} at {timed.invoked:.4f}: {timed.answer} after {took:.3f} s"
    counters = [gateway.router.counters for gateway in world.gateways]
    retries = sum(each.retries for each in counters)
    if retries * OPERATIONS_PER_RETRY > sum(each.operations for each in counters):
        yield f"the gateways sent {retries} operations to a second coordinator"


def _owed(plan: Plan) -> bool:
    # A caller waits three timeouts for one lost request while its peer answers others. Connections
    # lose no single request. Datagrams do, and so does the simulated transport on a cut path.
    whole = plan.wired or not (
        plan.datagrams or any(fault.kind in _CUTTING for fault in plan.faults)
    )
    calm = not any(plan.weather[2:]) and not plan.early
    return whole and calm and not plan.crowded and knobs.shipped(plan.knobs)


# Unexpected errors.


def unexpected(world: World) -> Iterable[str]:
    """No handler, task or callback ended with an unexpected error."""
    yield from world.network.failures
    yield from world.loop.errors
