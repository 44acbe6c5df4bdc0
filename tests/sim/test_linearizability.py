"""The linearizability checker, against all orders and against planted bad histories."""

import random
import time
from collections import Counter
from dataclasses import replace

import pytest

from tests.sim import linearizability
from tests.sim.histories import (
    MADE,
    A,
    B,
    bent,
    call,
    delete,
    get,
    ok,
    post,
    put,
    some_history,
)
from tests.sim.history import Answer, Call, Ended, Method, Record
from tests.sim.linearizability import TooTangled, check
from tests.sim.orders import ABSENT, EXISTS, GONE, MISMATCH, NO, UNKNOWN, does, explained

HISTORIES = 5_000
SEEDS = range(10)


@pytest.mark.parametrize("seed", SEEDS)
def test_agrees_with_every_order_there_is(seed: int) -> None:
    """On 50,000 random small histories the checker agrees with a search of all orders."""
    rng = random.Random(seed)
    verdicts: Counter[tuple[bool, bool]] = Counter()
    for number in range(HISTORIES):
        calls = some_history(rng)
        mutated = number % 2 == 1
        if mutated:
            calls = bent(rng, calls)
        rng.shuffle(calls)
        expected = mutated is False or explained(calls)
        if number % 8 == 0:
            assert explained(calls)
        verdict = check(calls)
        assert (verdict is None) is expected, f"{expected} expected of {calls}: {verdict}"
        verdicts[mutated, expected] += 1
    assert verdicts[False, True] == HISTORIES / 2
    assert verdicts[True, True] > 250
    assert verdicts[True, False] > 250


BAD: dict[str, tuple[list[Call], Call]] = {
    "a stale read": (
        [MADE, put(2, 3, {"x": 5}, ok(x=5, y=1))],
        get(4, 5, ok(x=1, y=1)),
    ),
    "a read that goes back": (
        [MADE, put(2, 9, {"x": 5}, ok(x=5, y=1)), get(3, 4, ok(x=5, y=1))],
        get(5, 6, ok(x=1, y=1)),
    ),
    "a read that goes back from an unknown outcome": (
        [MADE, put(2, 3, {"x": 5}, UNKNOWN), get(4, 5, ok(x=5, y=1))],
        get(6, 7, ok(x=1, y=1)),
    ),
    "a lost update": (
        [MADE, put(2, 5, {"y": 6}, ok(x=1, y=6))],
        put(2, 5, {"x": 5}, ok(x=5, y=1)),
    ),
    "a lost update that only a read shows": (
        [MADE, put(2, 5, {"y": 6}, ok(x=1, y=6)), put(2, 5, {"x": 5}, ok(x=5, y=6))],
        get(6, 7, ok(x=5, y=1)),
    ),
    "a lost record": ([MADE], get(2, 3, ABSENT)),
    "a resurrection": ([MADE, delete(2, 3, GONE)], get(4, 5, ok(x=1, y=1))),
    "a resurrection by an update": (
        [MADE, delete(2, 3, GONE)],
        put(4, 5, {"x": 5}, ok(x=5, y=1)),
    ),
    "a resurrection by an update of unknown outcome": (
        [MADE, put(2, 3, {"x": 5}, UNKNOWN), delete(4, 5, GONE)],
        get(6, 7, ok(x=5, y=1)),
    ),
    "two creations without a deletion": ([MADE], post(2, 3, B, ok(x=2, y=2))),
    "two creations at once": (
        [post(0, 9, A, ok(x=1, y=1)), get(10, 11, ok(x=1, y=1))],
        post(0, 9, B, ok(x=2, y=2)),
    ),
    "two deletions after one creation": ([MADE, delete(2, 5, GONE)], delete(2, 5, GONE)),
    "a phantom value": ([MADE], get(2, 3, ok(x=7, y=1))),
    "a value from the future": ([MADE, put(4, 5, {"x": 7}, UNKNOWN)], get(2, 3, ok(x=7, y=1))),
    "a mixed record": (
        [
            MADE,
            put(2, 9, {"x": 5, "y": 5}, ok(x=5, y=5)),
            put(2, 9, {"x": 6, "y": 6}, ok(x=6, y=6)),
        ],
        get(3, 8, ok(x=5, y=6)),
    ),
    "a no that happened": ([MADE, put(2, 3, {"x": 5}, NO)], get(4, 5, ok(x=5, y=1))),
    "a deletion answered no that happened": ([MADE, delete(2, 3, NO)], get(4, 5, ABSENT)),
    "a creation answered no that happened": ([post(0, 1, A, NO)], get(2, 3, ok(x=1, y=1))),
    "an unknown outcome that happened twice": (
        [MADE, delete(2, 3, UNKNOWN), get(4, 5, ABSENT), post(6, 7, B, ok(x=2, y=2))],
        get(8, 9, ABSENT),
    ),
    "not found though it was there": ([MADE], put(2, 3, {"x": 5}, ABSENT)),
    "a conflict with nothing": ([MADE, delete(2, 3, GONE)], post(4, 5, B, EXISTS)),
    "If-Match that ignored another value": (
        [MADE],
        put(2, 3, {"x": 5}, ok(x=5, y=1), match={"x": 2, "y": 1}),
    ),
    "If-Match that refused the right value": ([MADE], delete(2, 3, MISMATCH, match=A)),
    "an update that answers another value than it set": (
        [MADE],
        put(2, 3, {"x": 5}, ok(x=4, y=1)),
    ),
    "a creation that answers another record than was sent": ([], post(0, 1, A, ok(x=1, y=2))),
}


@pytest.mark.parametrize("name", BAD)
def test_planted(name: str) -> None:
    """The checker refuses a history with this fault, and accepts it without its last call."""
    before, last = BAD[name]
    verdict = check([*before, last])
    assert verdict is not None
    assert "no order of the calls explains" in verdict
    assert check(before) is None


def test_explanation_names_the_call_and_what_came_before() -> None:
    """A refusal shows the unexplained call, the order before it and the record that it left."""
    verdict = check([MADE, put(2, 3, {"x": 5}, ok(x=5, y=1)), get(4, 5, ok(x=1, y=1))])
    assert verdict is not None
    assert verdict.splitlines() == [
        "no order of the calls explains",
        "  [4..5] client 0 GET: ok {'x': 1, 'y': 1}",
        "the longest order that explains what came before ends with",
        "  [0..1] client 0 POST {'x': 1, 'y': 1}: ok {'x': 1, 'y': 1}",
        "  [2..3] client 0 PUT {'x': 5}: ok {'x': 5, 'y': 1}",
        "which leaves {'x': 5, 'y': 1}",
    ]


def test_unknown_outcome_may_come_late_or_never() -> None:
    """A call of unknown outcome may take effect long after its answer, or never."""
    late = [MADE, put(2, 3, {"x": 5}, UNKNOWN), get(4, 5, ok(x=1, y=1))]
    assert check(late) is None
    assert check([*late, get(6, 7, ok(x=5, y=1))]) is None
    assert check([MADE, delete(2, None, None), get(9, 10, ABSENT)]) is None


@pytest.mark.parametrize("last", [{"x": 2, "y": 1}, {"x": 2, "y": 3}])
def test_which_unknown_outcome_happened_stays_open(last: Record) -> None:
    """If either of two calls of unknown outcome explains a read, the other may come later."""
    calls = [
        MADE,
        put(2, 3, {"x": 2}, UNKNOWN),
        put(2, 3, {"x": 2, "y": 1}, UNKNOWN),
        get(4, 5, ok(x=2, y=1)),
        put(6, 7, {"x": 1, "y": 3}, ok(x=1, y=3)),
        get(8, 9, Answer(Ended.OK, last)),
    ]
    assert check(calls) is None
    assert check([*calls, get(10, 11, ok(x=2, y=2))]) is not None


def test_equal_moments_are_no_order() -> None:
    """A call that begins at the moment when another returns may come before it."""
    assert check([post(0, 2, A, ok(x=1, y=1)), get(2, 3, ABSENT)]) is None
    assert check([post(0, 2, A, ok(x=1, y=1)), get(2.01, 3, ABSENT)]) is not None


def test_nothing_happened() -> None:
    """The checker accepts an empty history."""
    assert check([]) is None


def test_hot_record_with_many_lost_clients_is_quick() -> None:
    """A thousand overlapping calls with hundreds of unknown outcomes take less than 20 s of CPU."""
    rng = random.Random(3)
    record: Record | None = None
    calls = []
    for moment in range(1_500):
        chance = rng.random()
        if record is None:
            made = call(Method.POST, 0, 0, None, {"x": moment, "y": moment})
        elif chance < 0.05:
            made = call(Method.DELETE, 0, 0, None)
        elif chance < 0.4:
            made = call(Method.GET, 0, 0, None)
        else:
            made = call(Method.PUT, 0, 0, None, {rng.choice("xy"): moment})
        answer, after = does(record, made)
        answered: Answer | None = answer
        if rng.random() < 0.2:
            answered = rng.choice((UNKNOWN, None))
        if answered is answer or rng.random() < 0.7:
            record = after
        returned = None if answered is None else moment + rng.random() * 10
        calls.append(
            replace(made, invoked=moment - rng.random() * 10, returned=returned, answer=answered)
        )
    began = time.process_time()
    assert check(calls) is None
    assert time.process_time() - began < 20


def test_gives_up_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history that takes more than `MOST_STEPS` gets an error, never a verdict."""
    monkeypatch.setattr(linearizability, "MOST_STEPS", 100)
    same = [put(2 + n / 100, 90, {"x": n}, ok(x=n, y=1)) for n in range(20)]
    with pytest.raises(TooTangled, match="21 calls and 1 loose"):
        check([MADE, delete(2, None, None), *same])
