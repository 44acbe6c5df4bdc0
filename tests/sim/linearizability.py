"""Linearizability of one record's history: POST, PUT, DELETE and GET on the whole record.

The search is that of Wing & Gong (1993) with two refinements of Lowe (2017). It places calls in
order only when one of them returns. It merges two searches that reach the same record with the same
open calls done.

A call is *firm* if its client got an answer that settles its outcome. A call of unknown outcome is
*loose*: it may take effect at any moment after its invocation, or never. Each loose call would
double the work. Three rules avoid that:

- The search places a loose call only where the next firm call needs it. At most one DELETE, then
  one POST, then PUTs come first. Each of these PUTs brings a value that the firm call saw.
- Two paths may lead to the same point. If one used all loose calls of the other and more, the
  search drops it.
- Loose calls with the same effect are interchangeable. So are all values that no answer contains.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from tests.sim.expectation import (
    TURNS,
    UNSEEN,
    Expectation,
    Need,
    answered_body,
    expectation_of,
)
from tests.sim.history import Call, Ended, Method, Record

MOST_STEPS = 1_000_000
"""Placements tried per history; more end the search without a verdict.

Too low gives no verdict on busy histories; too high takes minutes on one history. For n firm calls,
w of them open at once, `n * 2**w * w` suffice. About `n * w` do if no two calls write the same
value, as in the simulation.
"""

_MOST_SHOWN = 8
_encode = msgspec.json.Encoder(order="sorted").encode


class TooTangled(Exception):
    """The search took more than `MOST_STEPS`, so there is no verdict.

    Let fewer calls overlap, or let them write distinct values.
    """


@dataclass(frozen=True, slots=True, repr=False)
class _Placed:
    """A linked list of the calls placed so far, the last one first."""

    call: Call
    before: "_Placed | None"
    depth: int


@dataclass(frozen=True, slots=True)
class _Point:
    """A point of the search, and the path to it.

    Args:
        record: the number of the current record.
        done: the numbers of the open firm calls that are placed.
        used: a bit set of the loose calls that are placed.
    """

    record: int
    done: frozenset[int]
    used: int
    placed: _Placed | None

    def after(self, call: Call) -> _Placed:
        return _Placed(call, self.placed, self.placed.depth + 1 if self.placed else 1)


class _Frontier:
    """A set of points without those that another one makes redundant."""

    def __init__(self) -> None:
        self._used: dict[tuple[int, frozenset[int]], list[int]] = {}
        self.points: list[_Point] = []

    def add(self, point: _Point) -> bool:
        rivals = self._used.setdefault((point.record, point.done), [])
        if any(rival & ~point.used == 0 for rival in rivals):
            return False
        rivals.append(point.used)
        self.points.append(point)
        return True


def check(calls: Sequence[Call]) -> str | None:
    """Return None if one order of the calls explains all answers, else an explanation.

    Each call takes effect at one moment between its invocation and its return. It works on the
    record that the calls before it left; the first call finds none. OK, ABSENT, EXISTS, MISMATCH
    and the answered body are true at that moment. A call answered NO never takes effect. A call
    without an answer, or answered UNKNOWN, takes effect once after its invocation, or never.

    Args:
        calls: all calls on one id, in any sequence. The answer OK to a PUT has a body.

    Raises:
        TooTangled: after `MOST_STEPS` steps.
    """
    return _Search(calls).verdict()


class _Search:
    def __init__(self, calls: Sequence[Call]) -> None:
        self._steps = 0
        self._records: list[Record | None] = [None]
        self._numbers: dict[str, int] = {}
        self._firm = [call for call in calls if not _loose(call) and not _certainly_not(call)]
        self._expected = [expectation_of(call) for call in self._firm]
        seen = _seen(calls)
        others_count = any(target.need is Need.OTHER for target in self._expected)
        pairs = [
            (call, replace(call, body=_blurred(call.body, seen)) if call.body else call)
            for call in sorted(calls, key=lambda call: call.invoked)
            if _loose(call) and call.method is not Method.GET
        ]
        pairs = [pair for pair in pairs if others_count or not _unnoticed(pair[1])]
        self._originals = [original for original, _ in pairs]
        self._loose = [blurred for _, blurred in pairs]
        self._alike = [
            f"{call.method}{_text(call.body)}{_text(call.match)}" for call in self._loose
        ]
        self._open: set[int] = set()
        self._invoked_count = 0

    def verdict(self) -> str | None:
        events = [(call.invoked, 0, number) for number, call in enumerate(self._firm)]
        events += [
            (call.returned, 1, number)
            for number, call in enumerate(self._firm)
            if call.returned is not None
        ]
        points = [_Point(0, frozenset(), 0, None)]
        for moment, returns, number in sorted(events):
            if not returns:
                self._open.add(number)
                points = [self._with_reads_done(point) for point in points]
                continue
            while self._invoked_count < len(self._loose) and (
                self._loose[self._invoked_count].invoked <= moment
            ):
                self._invoked_count += 1
            tried = _Frontier()
            reached = self._until(number, points, tried)
            if not reached:
                return self._explanation(number, tried.points)
            self._open.discard(number)
            points = reached
        return None

    def _until(self, number: int, points: list[_Point], tried: _Frontier) -> list[_Point]:
        """Return all points at which the firm call `number` is done; it returns now."""
        reached = _Frontier()
        ahead = [point for point in points if tried.add(point)]
        while ahead:
            point = ahead.pop()
            if number in point.done:
                done = point.done - {number}
                reached.add(_Point(point.record, done, point.used, point.placed))
                continue
            ahead += [after for after in self._next(point) if tried.add(after)]
        return reached.points

    def _next(self, point: _Point) -> Iterator[_Point]:
        """Yield each point with one more firm call placed, after the loose ones that it needs."""
        for number in self._open - point.done:
            call = self._firm[number]
            for found in self._led(point, self._expected[number]):
                if number in found.done:
                    yield found
                    continue
                record = self._number(_left(call))
                done = found.done | {number}
                yield self._with_reads_done(_Point(record, done, found.used, found.after(call)))
        for loose, call in self._usable(point):
            if call.match is not None:
                for found in self._led(point, Expectation(Need.BECOMES, call.match, {})):
                    yield self._used(found, loose, {**call.match, **(call.body or {})})

    def _led(self, point: _Point, target: Expectation) -> Iterator[_Point]:
        """Yield the points that meet `target`, each by as few loose calls as possible."""
        ahead: list[tuple[_Point, int]] = [(point, 0)]
        tried = _Frontier()
        while ahead:
            at, last = ahead.pop()
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise TooTangled(f"{len(self._firm)} calls and {len(self._loose)} loose ones")
            record = self._records[at.record]
            if target.met(record):
                yield at
                continue
            usable = [(loose, call) for loose, call in self._usable(at) if call.match is None]
            if target.hopeless(record, [call for _, call in usable]):
                continue
            for loose, call in usable:
                turn = TURNS[call.method]
                if turn >= last and target.helped(record, call):
                    after = self._used(at, loose, {**(record or {}), **(call.body or {})})
                    if tried.add(after):
                        ahead.append((after, turn))

    def _usable(self, point: _Point) -> Iterator[tuple[int, Call]]:
        """Yield the loose calls invoked by now and not used, one of each kind."""
        offered = set()
        for number in range(self._invoked_count):
            if not point.used >> number & 1 and self._alike[number] not in offered:
                offered.add(self._alike[number])
                yield number, self._loose[number]

    def _used(self, point: _Point, loose: int, leaves: Record | None) -> _Point:
        call = self._loose[loose]
        record = self._number(None if call.method is Method.DELETE else leaves)
        used = point.used | 1 << loose
        return self._with_reads_done(
            _Point(record, point.done, used, point.after(self._originals[loose]))
        )

    def _with_reads_done(self, point: _Point) -> _Point:
        """Place all open calls that the current record explains and that change nothing."""
        record = self._records[point.record]
        for number in self._open - point.done:
            call = self._firm[number]
            if not _writes(call) and self._expected[number].met(record):
                done = point.done | {number}
                point = _Point(point.record, done, point.used, point.after(call))
        return point

    def _number(self, record: Record | None) -> int:
        if record is None:
            return 0
        text = _text(record)
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self._records)
            self._records.append(record)
        return number

    def _explanation(self, number: int, tried: list[_Point]) -> str:
        best = max(tried, key=lambda point: point.placed.depth if point.placed else 0)
        order: list[Call] = []
        placed = best.placed
        while placed is not None and len(order) < _MOST_SHOWN:
            order.append(placed.call)
            placed = placed.before
        lines = ["no order of the calls explains", f"  {self._firm[number]!r}"]
        if order:
            lines.append("the longest order that explains what came before ends with")
            lines += [f"  {call!r}" for call in reversed(order)]
        record = self._records[best.record]
        lines.append(f"which leaves {'no record' if record is None else record}")
        others = sorted(self._open - best.done - {number})
        if others:
            lines.append("open at the same time and not placed yet")
            lines += [f"  {self._firm[other]!r}" for other in others[:_MOST_SHOWN]]
        return "\n".join(lines)


def _text(record: Record | None) -> str:
    return _encode(record).decode()


def _loose(call: Call) -> bool:
    return call.answer is None or call.answer.kind is Ended.UNKNOWN


def _certainly_not(call: Call) -> bool:
    return call.answer is not None and call.answer.kind is Ended.NO


def _writes(call: Call) -> bool:
    """Return whether a firm call changes the record: a refusal only reads it."""
    ok = call.answer is not None and call.answer.kind is Ended.OK
    return ok and call.method is not Method.GET


def _left(call: Call) -> Record | None:
    """Return the record that a firm write leaves."""
    return None if call.method is Method.DELETE else answered_body(call)


def _seen(calls: Sequence[Call]) -> set[str]:
    """Return all pairs of field and value in answers and If-Match conditions."""
    bodies = [
        body for call in calls for body in (answered_body(call), call.match) if body is not None
    ]
    return {_text({field: value}) for body in bodies for field, value in body.items()}


def _blurred(body: Record, seen: set[str]) -> Record:
    return {
        field: value if _text({field: value}) in seen else UNSEEN for field, value in body.items()
    }


def _unnoticed(blurred: Call) -> bool:
    """Return whether a loose call is a PUT whose values no answer contains."""
    values = (blurred.body or {}).values()
    return blurred.method is Method.PUT and all(value == UNSEEN for value in values)
