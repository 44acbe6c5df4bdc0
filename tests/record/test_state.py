"""A record's state, its bytes, and the step to the next state."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ddb.record.change import Change, Kind, Outcome
from ddb.record.codec import LIVE, LOGGED, body_of, decode, encode, is_live, peek, without_log
from ddb.record.keyed_log import appended, count, oldest
from ddb.record.state import (
    ABSENT,
    SETTLE,
    DamagedState,
    Entry,
    Intent,
    Operation,
    State,
    digest_of,
    remembered,
    step,
)
from ddb.record.version import NEVER, Dot, Order, compare
from tests.record.strategies import REMEMBERING, Remembering, operations, states, versions

steady = settings(deadline=None)
OLD, NEW = b'{"a":1,"b":1}', b'{"b":2}'
MINE = Operation(b"gateway-0001")
NAMED = Operation(b"client-named", b"abcd")
BALLOT = Dot(2**63, 7)


EARLIER = Dot(4, 2)


class Forgetting(Remembering):
    """A `Retention` that forgets some entries, and every slice up to a ballot."""

    def __init__(self, ids: set[int], upto: Dot = NEVER) -> None:
        self._ids = ids
        self._upto = upto
        self.observed: list[tuple[Dot, ...]] = []

    def forgettable(self, entry: Entry) -> bool:
        """See `Retention.forgettable`."""
        return id(entry) in self._ids

    def saw(self, version: tuple[Dot, ...]) -> None:
        """See `Retention.saw`."""
        self.observed.append(version)

    def expired(self, ballot: Dot) -> bool:
        """See `Retention.expired`."""
        return ballot <= self._upto


def live(*recent: Entry, keyed: bytes = b"") -> State:
    return State((Dot(5, 1),), True, OLD, recent, keyed)


def log(outcome: Outcome = Outcome.DONE, ballot: Dot = EARLIER) -> bytes:
    return appended(b"", digest_of(NAMED), NAMED.fingerprint, outcome, ballot)


# The bytes of a state.


@steady
@given(states())
def test_round_trip(state: State) -> None:
    """An encoded state decodes to itself, and the partial readers agree."""
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
    again = encode(state)
    assert again == data or not data or decode(again) == state


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
    assume(first & ~(LIVE | LOGGED) != 0x10)
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
    base = State(base.version, base.live, OLD, base.recent, base.keyed)
    loser = State(other)
    after = step(
        base, loser, Intent(Change(kind, NEW), operation, doubt), ballot, REMEMBERING
    ).state
    assert after.newest == ballot
    assert compare(after.version, base.version) in (Order.AHEAD, Order.EQUAL)
    assert compare(after.version, other) in (Order.AHEAD, Order.EQUAL)
    assert decode(encode(after)) == after


def test_change_takes_effect_and_is_remembered() -> None:
    """A change that is done leaves its value and its operation, with the others before it."""
    earlier = Entry(Operation(b"gateway-0000"), Outcome.DONE)
    base = live(earlier)
    made = step(base, base, Intent(Change(Kind.UPDATE, NEW), MINE), BALLOT, REMEMBERING)
    assert made.outcome is Outcome.DONE
    assert made.state.value == b'{"a":1,"b":2}'
    assert made.state.recent == (earlier, Entry(MINE, Outcome.DONE))


def test_retry_is_recognised_and_not_done_again() -> None:
    """An operation that the chain of values has behind it keeps its outcome and changes nothing."""
    made = step(ABSENT, ABSENT, Intent(Change(Kind.CREATE, OLD), MINE), BALLOT, REMEMBERING).state
    gone = step(
        made,
        made,
        Intent(Change(Kind.DELETE), Operation(b"gateway-0002")),
        Dot(2**63 + 1, 7),
        REMEMBERING,
    ).state
    again = step(gone, gone, Intent(Change(Kind.CREATE, OLD), MINE), Dot(2**63 + 2, 7), REMEMBERING)
    assert again.outcome is Outcome.DONE
    assert again.state.value is None
    assert again.state.recent == gone.recent
    assert remembered(gone, MINE) is Outcome.DONE
    assert remembered(gone, Operation(b"gateway-0003")) is None


def test_only_the_winning_state_proves_an_operation() -> None:
    """That the state which lost a round remembers an operation does not count."""
    loser = State((Dot(4, 2),), True, NEW, (Entry(MINE, Outcome.DONE),))
    made = step(live(), loser, Intent(Change(Kind.UPDATE, NEW), MINE), BALLOT, REMEMBERING)
    assert made.outcome is Outcome.DONE
    assert made.state.value == b'{"a":1,"b":2}'


def test_refusal_is_recorded_only_in_doubt() -> None:
    """A refusal leaves a trace where an earlier attempt may be on its way, and else does not."""
    create = Change(Kind.CREATE, NEW)
    doubtful = step(live(), live(), Intent(create, MINE, record_refusal=True), BALLOT, REMEMBERING)
    assert (doubtful.outcome, doubtful.state.value) == (Outcome.EXISTS, OLD)
    assert doubtful.state.recent == (Entry(MINE, Outcome.EXISTS),)
    assert remembered(doubtful.state, MINE) is Outcome.EXISTS
    certain = step(live(), live(), Intent(create, MINE), BALLOT, REMEMBERING)
    assert (certain.outcome, certain.state.recent) == (Outcome.EXISTS, ())


def test_recorded_refusal_binds_a_late_first_attempt() -> None:
    """Once refused, an operation stays refused though its record would now allow it."""
    base = State((Dot(5, 1),), False, b"", (Entry(MINE, Outcome.EXISTS),))
    made = step(base, base, Intent(Change(Kind.CREATE, NEW), MINE), BALLOT, REMEMBERING)
    assert (made.outcome, made.state.value) == (Outcome.EXISTS, None)


def test_key_used_for_another_request_is_told() -> None:
    """An Idempotency-Key that names another request on this record is refused, and does nothing."""
    base = live(keyed=log())
    other = Operation(NAMED.id, b"wxyz")
    made = step(base, base, Intent(Change(Kind.UPDATE, NEW), other), BALLOT, REMEMBERING)
    assert (made.outcome, made.state.value) == (Outcome.REUSED, OLD)
    assert remembered(base, other) is Outcome.REUSED


@steady
@given(states(), st.sets(st.integers(0, 4)))
def test_forgetting_drops_just_what_may_be_forgotten(base: State, which: set[int]) -> None:
    """Forgettable operations go, the others stay in their order, and the value is untouched."""
    gone = Forgetting({id(entry) for number, entry in enumerate(base.recent) if number in which})
    after = step(base, base, SETTLE, Dot(2**64 - 1, 2**32 - 1), gone)
    kept = tuple(entry for number, entry in enumerate(base.recent) if number not in which)
    assert after.state.recent == kept
    assert after.state.value == base.value


def test_tombstone_keeps_its_last_body_only_for_named_operations() -> None:
    """A deleted record's body stays while a client's own operation may ask for it, no longer."""
    delete = Intent(Change(Kind.DELETE), MINE)
    plain = step(live(), live(), delete, BALLOT, REMEMBERING).state
    assert (plain.live, plain.body) == (False, b"")
    named = live(keyed=log())
    kept = step(named, named, delete, BALLOT, REMEMBERING).state
    assert (kept.live, kept.value, kept.body) == (False, None, OLD)
    later = step(kept, kept, SETTLE, Dot(2**63 + 1, 7), Forgetting(set(), EARLIER))
    assert (later.state.body, later.state.keyed) == (b"", b"")


# Operations that clients name.


def test_keyed_operation_is_remembered_with_its_ballot() -> None:
    """A keyed change that is done, or refused in doubt, leaves its round's ballot."""
    update = Intent(Change(Kind.UPDATE, NEW), NAMED)
    made = step(live(), live(), update, BALLOT, REMEMBERING)
    assert (made.outcome, made.recalled) == (Outcome.DONE, False)
    assert (made.state.recent, oldest(made.state.keyed)) == ((), BALLOT)
    again = step(made.state, made.state, update, Dot(2**63 + 1, 7), REMEMBERING)
    assert (again.outcome, again.recalled) == (Outcome.DONE, True)
    assert (again.state.keyed, again.state.body) == (made.state.keyed, made.state.body)
    refused = Intent(Change(Kind.CREATE, NEW), NAMED, record_refusal=True)
    doubtful = step(live(), live(), refused, BALLOT, REMEMBERING)
    assert remembered(doubtful.state, NAMED) is Outcome.EXISTS


def test_round_shows_every_ballot_before_it_forgets() -> None:
    """The ballots of a record with a log are seen at each round, and expired slices go."""
    base = live(keyed=log())
    retention = Forgetting(set(), EARLIER)
    other = State((Dot(3, 9),))
    made = step(base, other, SETTLE, BALLOT, retention)
    assert made.state.keyed == b""
    assert retention.observed == [(Dot(5, 1), Dot(3, 9))]
    plain = Forgetting(set())
    step(live(), live(), SETTLE, BALLOT, plain)
    assert plain.observed == []


@steady
@given(states())
def test_reader_gets_a_state_without_its_log(state: State) -> None:
    """Without the log the version, the life and the body of a state are as they were."""
    bare = decode(without_log(encode(state)))
    assert bare == State(state.version, state.live, state.body, state.recent)
    assert without_log(b"") == b""


def older_layout(*entries: bytes) -> bytes:
    """A live record of one dot as earlier releases wrote it."""
    head = b"\x11\x01" + (9).to_bytes(8, "big") + (7).to_bytes(4, "big")
    return head + len(entries).to_bytes(2, "big") + b"".join(entries) + OLD


def test_state_of_the_older_layout_is_read() -> None:
    """Keyed entries that an earlier release wrote are found, and belong to that state's ballot."""
    raw = older_layout(b"\x00gateway-0001", b"\x82client-namedabcd", b"\x80client-otherwxyz")
    state = decode(raw)
    assert (state.version, state.live, state.body) == ((Dot(9, 7),), True, OLD)
    assert state.recent == (Entry(MINE, Outcome.DONE),)
    assert (count(state.keyed), oldest(state.keyed)) == (2, Dot(9, 7))
    assert remembered(state, NAMED) is Outcome.EXISTS
    assert remembered(state, Operation(b"client-other", b"wxyz")) is Outcome.DONE
    assert remembered(state, Operation(NAMED.id, b"wxyz")) is Outcome.REUSED
    assert remembered(state, Operation(b"another-name", b"abcd")) is None
    assert (body_of(raw), peek(raw), is_live(raw)) == (OLD, Dot(9, 7), True)
    assert decode(encode(state)) == state
    later = step(state, state, SETTLE, BALLOT, Forgetting(set(), Dot(9, 7)))
    assert later.state.keyed == b""


def test_state_without_keyed_operations_has_the_older_layout() -> None:
    """A record of gateways' operations alone is written as earlier releases wrote it."""
    raw = older_layout(b"\x00gateway-0001")
    assert encode(decode(raw)) == raw


@pytest.mark.parametrize("length", [0, 10, 34, 35, 36, 200])
def test_damaged_log_is_noticed(length: int) -> None:
    """A log whose slices do not fill it exactly is damaged."""
    raw = encode(live(keyed=log() + log()))
    at = raw.index(len(log() + log()).to_bytes(4, "big"))
    damaged = raw[:at] + length.to_bytes(4, "big") + raw[at + 4 :]
    if length in (0, 35):
        assert decode(damaged).body != OLD
        return
    with pytest.raises(DamagedState):
        decode(damaged)
