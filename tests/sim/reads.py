"""The checkers of LIST and COUNT while records change."""

from collections.abc import Iterable

from ddb.ring.ring import END, key_of
from tests.sim.clients import record_id
from tests.sim.history import Call, Ended, Method
from tests.sim.observed import by_id, ended
from tests.sim.world import World


def listings(world: World) -> Iterable[str]:
    """A LIST is in order, without duplicates, and shows the right records.

    It shows each record that surely existed throughout, and none that surely did not. Each row is
    also a GET to `linearizable`.
    """
    calls_of = by_id(world.observed)
    for listed in world.observed.listed:
        ids = [str(row["id"]) for row in listed.rows]
        keys = [key_of(record) for record in ids]
        if keys != sorted(set(keys)):
            yield f"the list at {listed.invoked:.4f} is out of order: {ids}"
        for number in range(world.plan.records):
            record = record_id(number)
            calls = calls_of.get(record, [])
            if record not in ids and _surely(calls, True, listed.invoked, listed.returned):
                yield f"the list since {listed.invoked:.4f} misses {record}"
            if record in ids and _surely(calls, False, listed.invoked, listed.returned):
                yield f"the list since {listed.invoked:.4f} revives {record}"


def pages(world: World) -> Iterable[str]:
    """A LIST from an offset begins there and misses no record up to its end.

    The offset must be at least the number of records that surely existed before the first row. It
    must be at most the number that may have existed there.
    """
    calls_of = by_id(world.observed)
    for page in world.observed.paged:
        span = page.invoked, page.returned
        there = {key_of(record) for record in calls_of if _surely(calls_of[record], True, *span)}
        gone = {key_of(record) for record in calls_of if _surely(calls_of[record], False, *span)}
        maybe = set(map(key_of, calls_of)) - gone
        rows = list(map(key_of, page.ids))
        listed = f"the list from {page.offset} at {page.invoked:.4f}, {list(page.ids)}"
        if rows != sorted(set(rows)) or len(rows) > page.limit:
            yield f"{listed}, is out of order or too long"
            continue
        first, last = (rows[0], rows[-1]) if rows else (END, END)
        if not sum(key < first for key in there) <= page.offset:
            yield f"{listed}, begins too late"
        if rows and not sum(key < first for key in maybe) >= page.offset:
            yield f"{listed}, begins too early"
        if gone.intersection(rows):
            yield f"{listed}, revives {gone.intersection(rows)}"
        end = last if len(rows) == page.limit else END
        missed = {key for key in there if first <= key <= end}.difference(rows)
        if missed:
            yield f"{listed}, misses {missed}"


def counts(world: World) -> Iterable[str]:
    """A COUNT is between the records that surely existed and those that may have existed."""
    calls_of = by_id(world.observed)
    for counted in world.observed.counted:
        span = counted.invoked, counted.returned
        there = sum(_surely(calls, True, *span) for calls in calls_of.values())
        gone = sum(_surely(calls, False, *span) for calls in calls_of.values())
        if not there <= counted.count <= len(calls_of) - gone:
            yield (
                f"the count from {span[0]:.4f} to {span[1]:.4f} is {counted.count}, not from"
                f" {there} to {len(calls_of) - gone}"
            )


def _surely(calls: list[Call], live: bool, begin: float, end: float) -> bool:
    """Return whether the history proves the state of a record from `begin` to `end`.

    Args:
        live: True asks whether it existed throughout, False whether it did not exist at all.
    """
    undoing = Method.DELETE if live else Method.POST
    undone = [(call.invoked, _end(call)) for call in calls if call.method is undoing and _may(call)]
    if not live and not any(
        call.method is Method.POST and _may(call) and call.invoked <= end for call in calls
    ):
        return True
    for call in calls:
        if call.returned is None or call.returned >= begin or not _shows(call, live):
            continue
        if not any(last >= call.invoked and first <= end for first, last in undone):
            return True
    return False


def _shows(call: Call, live: bool) -> bool:
    if live:
        return (call.method is not Method.DELETE and ended(call, Ended.OK)) or ended(
            call, Ended.EXISTS
        )
    return (call.method is Method.DELETE and ended(call, Ended.OK)) or ended(call, Ended.ABSENT)


def _may(call: Call) -> bool:
    """Return whether the change may have taken effect."""
    return call.answer is None or call.answer.kind in (Ended.OK, Ended.UNKNOWN)


def _end(call: Call) -> float:
    firm = call.returned is not None and ended(call, Ended.OK)
    return call.returned if firm and call.returned is not None else float("inf")
