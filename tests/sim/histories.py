"""Small histories of one record: parts to write them by hand, and random ones."""

import random
from dataclasses import replace

from tests.sim.history import Answer, Call, Ended, Method, Record
from tests.sim.orders import ABSENT, EXISTS, GONE, NO, UNKNOWN, does

A: Record = {"x": 1, "y": 1}
B: Record = {"x": 2, "y": 2}


def ok(**fields: object) -> Answer:
    """Return an answer with a record."""
    return Answer(Ended.OK, fields)


def call(
    method: Method,
    invoked: float,
    returned: float | None,
    answer: Answer | None,
    body: Record | None = None,
    match: Record | None = None,
) -> Call:
    """Return a call on the one record."""
    return Call(0, method, "r", body, invoked, returned, answer, match)


def get(invoked: float, returned: float, answer: Answer) -> Call:
    """Return a GET."""
    return call(Method.GET, invoked, returned, answer)


def post(invoked: float, returned: float | None, body: Record, answer: Answer | None) -> Call:
    """Return a POST."""
    return call(Method.POST, invoked, returned, answer, body)


def put(
    invoked: float,
    returned: float | None,
    fields: Record,
    answer: Answer | None,
    match: Record | None = None,
) -> Call:
    """Return a PUT."""
    return call(Method.PUT, invoked, returned, answer, fields, match)


def delete(
    invoked: float, returned: float | None, answer: Answer | None, match: Record | None = None
) -> Call:
    """Return a DELETE."""
    return call(Method.DELETE, invoked, returned, answer, None, match)


MADE = post(0, 1, A, ok(x=1, y=1))


def some_record(rng: random.Random) -> Record:
    """Draw one of nine records."""
    return {"x": rng.randrange(3), "y": rng.randrange(3)}


def some_call(rng: random.Random, record: Record | None) -> Call:
    """Draw a call that may well succeed on a record, without times and answer."""
    method = rng.choice((Method.GET, Method.POST, Method.PUT, Method.PUT, Method.DELETE))
    body, match = None, None
    if method is Method.POST:
        body = some_record(rng)
    elif method is Method.PUT:
        body = some_record(rng)
        for field in rng.choice(((), ("x",), ("y",))):
            del body[field]
    if method in (Method.PUT, Method.DELETE) and rng.random() < 0.2:
        match = record if record is not None and rng.random() < 0.6 else some_record(rng)
    return call(method, 0, 0, None, body, match)


def some_history(rng: random.Random) -> list[Call]:
    """Draw up to seven calls that happened one at a time, with overlapping intervals."""
    record: Record | None = None
    calls = []
    width = rng.choice((0.4, 1.5, 4.0))
    for moment in range(rng.randint(2, 7)):
        made = some_call(rng, record)
        chance = rng.random()
        answer, after = does(record, made)
        answered: Answer | None = answer
        if chance < 0.08:
            answered = NO
        elif chance < 0.3:
            answered = UNKNOWN if rng.random() < 0.5 else None
            record = after if rng.random() < 0.6 else record
        else:
            record = after
        invoked = moment - rng.random() * width
        returned = None if answered is None else moment + rng.random() * width
        if answered == UNKNOWN and rng.random() < 0.5:
            # It takes effect after its client got the answer that the outcome is unknown.
            invoked, returned = invoked - width, moment - rng.random() * width
            invoked = min(invoked, returned)
        calls.append(replace(made, invoked=invoked, returned=returned, answer=answered))
    return calls


def bent(rng: random.Random, calls: list[Call]) -> list[Call]:
    """Change one answer, body or time of one call, or remove the call."""
    number = rng.randrange(len(calls))
    each = calls[number]
    way = rng.randrange(4)
    if way == 0 and each.answer is not None:
        kinds = {
            Method.GET: (Answer(Ended.OK, some_record(rng)), ABSENT),
            Method.POST: (Answer(Ended.OK, each.body), EXISTS, NO),
            Method.PUT: (Answer(Ended.OK, some_record(rng) | (each.body or {})), ABSENT, NO),
            Method.DELETE: (GONE, ABSENT, NO),
        }
        each = replace(each, answer=rng.choice(kinds[each.method]))
    elif way == 1 and each.answer is not None and each.answer.body:
        field = rng.choice("xy")
        body = each.answer.body | {field: rng.randrange(3)}
        each = replace(each, answer=Answer(each.answer.kind, body))
    elif way == 2:
        shift = rng.uniform(-4, 4)
        returned = None if each.returned is None else each.returned + shift
        each = replace(each, invoked=each.invoked + shift, returned=returned)
    else:
        return [*calls[:number], *calls[number + 1 :]]
    return [*calls[:number], each, *calls[number + 1 :]]
