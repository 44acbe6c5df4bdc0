"""The checkers: what every run must satisfy, one function per property."""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from ddb.node.store import Family
from ddb.record.state import is_live
from ddb.ring.ring import PARTITION_BYTES, key_of, partition_in
from tests.sim import knobs
from tests.sim.clients import Clients, record_id
from tests.sim.history import Answer, Call, Ended, Method, Record
from tests.sim.linearizability import TooTangled, check
from tests.sim.plan import Plan
from tests.sim.world import World

PROMISED = 0.250
"""Virtual seconds within which an answer is owed."""
SPACE = 2


def check_all(world: World) -> None:
    """Every checker that reads what was observed."""
    for checker in (
        linearizable,
        no_loss,
        once,
        available,
        listings,
        counts,
        unexpected,
        cost,
    ):
        for violation in checker(world):
            world.observed.violate(checker.__name__, violation)


# 1 to 3: what clients were told of single records.


def linearizable(world: World) -> Iterable[str]:
    """GET, POST, PUT and DELETE of each record are explained by one order that respects time."""
    for record, calls in _by_id(world).items():
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
    for record, calls in _by_id(world).items():
        sent = [
            (call.invoked, name, value)
            for call in calls
            for name, value in (call.body or {}).items()
        ]
        for call in calls:
            body = call.answer.body if call.answer else None
            for name, value in (body or {}).items():
                if not any(
                    name == field and value == sought and invoked <= (call.returned or 0)
                    for invoked, field, sought in sent
                ):
                    yield f"{record}: nobody had sent {name}={value!r} when {call!r} was answered"


def once(world: World) -> Iterable[str]:
    """Between two acknowledged POSTs of one id there can have been a DELETE."""
    for record, calls in _by_id(world).items():
        created = sorted(
            (call for call in calls if call.method is Method.POST and _ended(call, Ended.OK)),
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


def _by_id(world: World) -> dict[str, list[Call]]:
    calls: defaultdict[str, list[Call]] = defaultdict(list)
    for call in world.observed.calls:
        calls[call.id].append(call)
    return calls


def _ended(call: Call, *kinds: Ended) -> bool:
    return call.answer is not None and call.answer.kind in kinds


def _eased(calls: list[Call]) -> list[Call]:
    """The calls, where a retried change may answer with the record at a later moment of its span.

    The body it told counts as read beside it. A POST is then known to have left what it sent; what
    a PUT left is not known, so it counts as one that may have been, and the reading as its proof.
    """
    eased: list[Call] = []
    for call in calls:
        told = call.answer.body if call.answer else None
        if call.method is Method.PUT and _ended(call, Ended.OK):
            eased.append(_as(call, Method.PUT, Answer(Ended.UNKNOWN)))
        elif call.method is Method.POST and _ended(call, Ended.OK):
            eased.append(_as(call, Method.POST, Answer(Ended.OK, call.body)))
        else:
            eased.append(call)
            continue
        if told is not None:
            eased.append(_as(call, Method.GET, Answer(Ended.OK, told)))
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


# 4 and 5: what the disks hold at rest.


def at_rest(world: World) -> str | None:
    """What is not yet as it must be at rest; None where everything is.

    No hints; both homes of every record byte-equal; no copy anywhere else, so that there are
    exactly two; every tally what its records add up to.
    """
    held: dict[bytes, dict[str, bytes]] = defaultdict(dict)
    for name, machine in world.machines.items():
        if machine.store is None or machine.node is None or not machine.up:
            return f"{name} is down"
        if machine.node.replica.hints.total:
            return f"{name} holds {machine.node.replica.hints!r}"
        if machine.store.scan(Family.HINTS, b"", b"\xff\xff\xff", 1):
            return f"{name} has hints that it does not count"
        for key, raw in machine.store.scan(Family.RECORDS, b"", b"\xff\xff\xff", 1 << 30):
            held[key][name] = raw
        wrong = _tallied(machine.store.scan, name)
        if wrong:
            return wrong
    for key, copies in held.items():
        homes = world.ring.cell(key).homes
        if set(copies) != set(homes):
            return f"{key!r} of {homes} is on {sorted(copies)}"
        if copies[homes[0]] != copies[homes[1]]:
            return f"{key!r} differs between {homes}"
    return None


def _tallied(scan: object, name: str) -> str | None:
    from ddb.node.tally import ROW, _digest

    assert callable(scan)
    live: dict[int, int] = defaultdict(int)
    digest: dict[int, int] = defaultdict(int)
    for key, raw in scan(Family.RECORDS, b"", b"\xff\xff\xff", 1 << 30):
        live[partition_in(key)] += is_live(raw)
        digest[partition_in(key)] ^= _digest(key, raw)
    stored = {
        int.from_bytes(key, "big"): ROW.unpack(row)
        for key, row in scan(Family.TALLIES, b"", b"\xff\xff\xff", 1 << 30)
    }
    for number in {*live, *stored}:
        if stored.get(number, (0, 0)) != (live[number], digest[number]):
            return f"the tally of {name} for partition {number} is not what its records add up to"
    return None


# 6: what it costs.


def cost(world: World) -> Iterable[str]:
    """No message about a record goes outside its cell; without faults none beyond its homes.

    So a fault-free operation contacts two nodes. Under faults an operation takes at most
    `Cost.MOST` requests of its gateway.
    """
    if _owed(world.plan):
        yield from world.costs.complaints(fault_free=not world.plan.faults)
    else:
        yield from world.costs.outside


# 7: when an answer is owed.


def available(world: World) -> Iterable[str]:
    """With at most one node of a cell out of reach every request is decided within 250 ms."""
    if not _owed(world.plan):
        return
    for timed in world.observed.timed:
        cell = set(world.ring.cell(key_of(timed.id)).nodes)
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
                f"{timed.id} at {timed.invoked:.4f}: {timed.said} after {1000 * took:.0f} ms,"
                f" with {sorted(out) or 'nobody'} of {sorted(cell)} out of reach"
            )


def _owed(plan: Plan) -> bool:
    return knobs.shipped(plan.knobs) and not any(plan.weather[2:]) and not plan.early


# 8: reading many.


def listings(world: World) -> Iterable[str]:
    """A LIST is in order, without doubles, and has every record that surely was there throughout.

    Nor has it one that surely was not. Each row is also a GET to `linearizable`.
    """
    by_id = _by_id(world)
    for listed in world.observed.listed:
        ids = [str(row["id"]) for row in listed.rows]
        keys = [key_of(record) for record in ids]
        if keys != sorted(set(keys)):
            yield f"the list at {listed.invoked:.4f} is out of order: {ids}"
        for number in range(world.plan.records):
            record = record_id(number)
            calls = by_id.get(record, [])
            if record not in ids and _surely(calls, True, listed.invoked, listed.returned):
                yield f"the list since {listed.invoked:.4f} misses {record}"
            if record in ids and _surely(calls, False, listed.invoked, listed.returned):
                yield f"the list since {listed.invoked:.4f} revives {record}"


def counts(world: World) -> Iterable[str]:
    """A COUNT is no less than what surely was there throughout, no more than what may have been."""
    by_id = _by_id(world)
    for counted in world.observed.counted:
        span = counted.invoked, counted.returned
        there = sum(_surely(calls, True, *span) for calls in by_id.values())
        gone = sum(_surely(calls, False, *span) for calls in by_id.values())
        if not there <= counted.count <= len(by_id) - gone:
            yield (
                f"the count from {span[0]:.4f} to {span[1]:.4f} is {counted.count}, not from"
                f" {there} to {len(by_id) - gone}"
            )


def _surely(calls: list[Call], live: bool, since: float, until: float) -> bool:
    """Whether the record surely was there (or was not) throughout the span."""
    undoing = Method.DELETE if live else Method.POST
    undone = [(call.invoked, _end(call)) for call in calls if call.method is undoing and _may(call)]
    if not live and not any(
        call.method is Method.POST and _may(call) and call.invoked <= until for call in calls
    ):
        return True
    for call in calls:
        if call.returned is None or call.returned >= since or not _shows(call, live):
            continue
        if not any(end >= call.invoked and begin <= until for begin, end in undone):
            return True
    return False


def _shows(call: Call, live: bool) -> bool:
    if live:
        return (call.method is not Method.DELETE and _ended(call, Ended.OK)) or _ended(
            call, Ended.EXISTS
        )
    return (call.method is Method.DELETE and _ended(call, Ended.OK)) or _ended(call, Ended.ABSENT)


def _may(call: Call) -> bool:
    """Whether the change may have been."""
    return call.answer is None or call.answer.kind in (Ended.OK, Ended.UNKNOWN)


def _end(call: Call) -> float:
    firm = call.returned is not None and _ended(call, Ended.OK)
    return call.returned if firm and call.returned is not None else float("inf")


async def whole_reads(world: World, clients: Clients) -> None:
    """At rest LIST and COUNT are complete and exact, through every gateway."""
    live: dict[str, Record] = {}
    for machine in world.machines.values():
        assert machine.store is not None
        for key, raw in machine.store.scan(Family.RECORDS, b"", b"\xff\xff\xff", 1 << 30):
            if is_live(raw):
                from ddb.record.state import body_of

                live[key[PARTITION_BYTES:].decode()] = msgspec.json.decode(
                    body_of(raw), type=Record
                )
    for index in range(len(world.gateways)):
        listed = await clients.list_all(index, 1 + index)
        if listed is None or {str(row["id"]): row for row in listed.rows} != live:
            world.violate("listing at rest", f"{listed} instead of {live}")
        counted = await clients.count(index)
        if counted is None or counted.count != len(live):
            world.violate("count at rest", f"{counted} instead of {len(live)}")


# Besides.


def unexpected(world: World) -> Iterable[str]:
    """No handler, task or callback ended with an error that nobody expects."""
    yield from world.network.failures
    yield from world.loop.errors
