"""A record's state: its bytes, and the step from one to the next."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ddb.record.change import Change, Kind, Outcome
from ddb.record.state import (
    ABSENT,
    SETTLE,
    DamagedState,
    Entry,
    Intent,
    Operation,
    State,
    body_of,
    decode,
    encode,
    is_live,
    peek,
    remembered,
    step,
)
from ddb.record.version import NEVER, Dot, Order, compare
from tests.record.strategies import operations, states, versions

steady = settings(deadline=None)
OLD, NEW = b'{"a":1,"b":1}', b'{"b":2}'
MINE = Operation(b"gateway-0001")
NAMED = Operation(b"client-named", b"abcd")
BALLOT = Dot(2**63, 7)


def never(_: Entry) -> bool:
    return False


def live(*recent: Entry) -> State:
    return State((Dot(5, 1),), True, OLD, recent)


# Its bytes.


@steady
@given(states())
def test_round_trip(state: State) -> None:
    """Decoding what was encoded gives the same state, and so do the shortcuts into the bytes."""
    data = encode(state)
    assert decode(data) == state
    assert peek(data) == state.newest
    assert is_live(data) is state.live
    assert body_of(data) == state.body


@steady
@given(st.binary(max_size=80))
def test_any_bytes_are_one_state_or_damaged(data: bytes) -> None:
    """Arbitrary bytes are refused, or are exactly the encoding of what they decode to."""
    try:
        state = decode(data)
    except DamagedState:
        return
    assert encode(state) == data or not data


@steady
@given(states(), st.data())
def test_header_cut_short_is_noticed(state: State, data: st.DataObject) -> None:
    """Bytes that end within the header are damaged, not a shorter state."""
    raw = encode(state)
    end = data.draw(st.integers(1, len(raw) - len(state.body) - 1))
    with pytest.raises(DamagedState):
        decode(raw[:end])
    if end < 14:
        with pytest.raises(DamagedState):
            peek(raw[:end])


@steady
@given(states(), st.integers(0, 255))
def test_other_formats_are_refused(state: State, first: int) -> None:
    """A format byte of another version is not read as if it were of this one."""
    assume(first not in (0x10, 0x11))
    with pytest.raises(DamagedState, match="format"):
        decode(bytes((first,)) + encode(state)[1:])


def test_nothing_is_absent() -> None:
    """A key without a value is a record never seen, in every way of asking."""
    assert decode(b"") is ABSENT
    assert peek(b"") == peek(None) == peek(encode(ABSENT).ljust(14)) == NEVER
    assert not is_live(b"")
    assert not is_live(None)
    assert decode(encode(ABSENT)) == ABSENT


def test_header_at_rest_is_small() -> None:
    """A settled record costs 28 bytes beside its body: two dots and no operations."""
    assert len(encode(State((Dot(9, 2), Dot(8, 1)), True, OLD))) - len(OLD) == 28


# The step.


@steady
@given(states(), versions(), st.sampled_from(Kind), st.none() | operations(), st.booleans())
def test_step_dominates_both_states_it_found(
    base: State, other: tuple[Dot, ...], kind: Kind, operation: Operation | None, doubt: bool
) -> None:
    """Whatever is asked, the next state has the round's ballot and is ahead of what was found."""
    assume(len({dot.node for dot in (*base.version, *other)}) < 8)
    ballot = Dot(2**64 - 1, 2**32 - 1)
    base = State(base.version, base.live, OLD, base.recent)
    loser = State(other)
    after = step(base, loser, Intent(Change(kind, NEW), operation, doubt), ballot, never).state
    assert after.newest == ballot
    assert compare(after.version, base.version) in (Order.AHEAD, Order.EQUAL)
    assert compare(after.version, other) in (Order.AHEAD, Order.EQUAL)
    assert decode(encode(after)) == after


def test_change_takes_effect_and_is_remembered() -> None:
    """A change that is done leaves its value and its operation, with the others before it."""
    earlier = Entry(Operation(b"gateway-0000"), Outcome.DONE)
    base = live(earlier)
    made = step(base, base, Intent(Change(Kind.UPDATE, NEW), MINE), BALLOT, never)
    assert made.outcome is Outcome.DONE
    assert made.state.value == b'{"a":1,"b":2}'
    assert made.state.recent == (earlier, Entry(MINE, Outcome.DONE))


def test_retry_is_recognised_and_not_done_again() -> None:
    """An operation that the chain of values has behind it keeps its outcome and changes nothing."""
    made = step(ABSENT, ABSENT, Intent(Change(Kind.CREATE, OLD), MINE), BALLOT, never).state
    gone = step(
        made,
        made,
        Intent(Change(Kind.DELETE), Operation(b"gateway-0002")),
        Dot(2**63 + 1, 7),
        never,
    ).state
    again = step(gone, gone, Intent(Change(Kind.CREATE, OLD), MINE), Dot(2**63 + 2, 7), never)
    assert again.outcome is Outcome.DONE
    assert again.state.value is None
    assert again.state.recent == gone.recent
    assert remembered(gone, MINE) is Outcome.DONE
    assert remembered(gone, Operation(b"gateway-0003")) is None


def test_only_the_winning_state_proves_an_operation() -> None:
    """That the state which lost a round remembers an operation does not count."""
    loser = State((Dot(4, 2),), True, NEW, (Entry(MINE, Outcome.DONE),))
    made = step(live(), loser, Intent(Change(Kind.UPDATE, NEW), MINE), BALLOT, never)
    assert made.outcome is Outcome.DONE
    assert made.state.value == b'{"a":1,"b":2}'


def test_refusal_is_recorded_only_in_doubt() -> None:
    """A refusal leaves a trace where an earlier attempt may be on its way, and else does not."""
    create = Change(Kind.CREATE, NEW)
    doubtful = step(live(), live(), Intent(create, MINE, record_refusal=True), BALLOT, never)
    assert (doubtful.outcome, doubtful.state.value) == (Outcome.EXISTS, OLD)
    assert doubtful.state.recent == (Entry(MINE, Outcome.EXISTS),)
    assert remembered(doubtful.state, MINE) is Outcome.EXISTS
    certain = step(live(), live(), Intent(create, MINE), BALLOT, never)
    assert (certain.outcome, certain.state.recent) == (Outcome.EXISTS, ())


def test_recorded_refusal_binds_a_late_first_attempt() -> None:
    """Once refused, an operation stays refused though its record would now allow it."""
    base = State((Dot(5, 1),), False, b"", (Entry(MINE, Outcome.EXISTS),))
    made = step(base, base, Intent(Change(Kind.CREATE, NEW), MINE), BALLOT, never)
    assert (made.outcome, made.state.value) == (Outcome.EXISTS, None)


def test_key_used_for_another_request_is_told() -> None:
    """An Idempotency-Key that names another request on this record is refused, and does nothing."""
    base = live(Entry(NAMED, Outcome.DONE))
    other = Operation(NAMED.id, b"wxyz")
    made = step(base, base, Intent(Change(Kind.UPDATE, NEW), other), BALLOT, never)
    assert (made.outcome, made.state.value) == (Outcome.REUSED, OLD)
    assert remembered(base, other) is Outcome.REUSED


@steady
@given(states(), st.sets(st.integers(0, 4)))
def test_forgetting_drops_just_what_may_be_forgotten(base: State, which: set[int]) -> None:
    """Forgettable operations go, the others stay in their order, and the value is untouched."""
    gone = {id(entry) for number, entry in enumerate(base.recent) if number in which}
    after = step(base, base, SETTLE, Dot(2**64 - 1, 2**32 - 1), lambda entry: id(entry) in gone)
    kept = tuple(entry for number, entry in enumerate(base.recent) if number not in which)
    assert after.state.recent == kept
    assert after.state.value == base.value


def test_tombstone_keeps_its_last_body_only_for_named_operations() -> None:
    """A deleted record's body stays while a client's own operation may ask for it, no longer."""
    delete = Intent(Change(Kind.DELETE), MINE)
    plain = step(live(), live(), delete, BALLOT, never).state
    assert (plain.live, plain.body) == (False, b"")
    named = live(Entry(NAMED, Outcome.DONE))
    kept = step(named, named, delete, BALLOT, never).state
    assert (kept.live, kept.value, kept.body) == (False, None, OLD)
    later = step(kept, kept, SETTLE, Dot(2**63 + 1, 7), lambda entry: entry.operation == NAMED)
    assert later.state.body == b""
