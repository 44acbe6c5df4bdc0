"""A reference check of linearizability: it tries each order, slowly and simply."""

from collections.abc import Sequence

from tests.sim.history import Answer, Call, Ended, Method, Record

ABSENT, EXISTS, NO, UNKNOWN = map(Answer, (Ended.ABSENT, Ended.EXISTS, Ended.NO, Ended.UNKNOWN))
MISMATCH, GONE = Answer(Ended.MISMATCH), Answer(Ended.OK)


def does(record: Record | None, call: Call) -> tuple[Answer, Record | None]:
    """Return the answer of a single copy of the record, and the record afterwards."""
    if call.method is Method.POST:
        return (EXISTS, record) if record is not None else (Answer(Ended.OK, call.body), call.body)
    if record is None:
        return ABSENT, None
    if call.method is Method.GET:
        return Answer(Ended.OK, record), record
    if call.match is not None and call.match != record:
        return MISMATCH, record
    if call.method is Method.DELETE:
        return GONE, None
    after = {**record, **(call.body or {})}
    return Answer(Ended.OK, after), after


def explained(calls: Sequence[Call], record: Record | None = None) -> bool:
    """Return whether some order of the calls explains all answers."""
    firm = [each for each in calls if each.answer not in (None, UNKNOWN, NO)]
    if not firm:
        return True
    soonest = min(each.returned for each in firm if each.returned is not None)
    for number, each in enumerate(calls):
        if each.answer == NO or each.invoked > soonest:
            continue
        answer, after = does(record, each)
        if each.answer in (None, UNKNOWN, answer) and explained(
            [*calls[:number], *calls[number + 1 :]], after
        ):
            return True
    return False
