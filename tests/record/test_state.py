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
    """Arbitrary bytes are damaged, or they decode to one state."""
    try:
        state = decode(data)
    except DamagedState:
        return
    again = encode(state)
    assert again == data or not data or decode(again) == state


@steady
@given(states(), st.data())
def test_truncated_header_is_damaged(state: State, data: st.DataObject) -> None:
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
    """A state with another format byte is damaged."""
    assume(first & ~(LIVE | LOGGED) != 0x10)
    with pytest.raises(DamagedState, match="format"):
        decode(bytes((first,)) + encode(state)[1:])


def test_empty_bytes_are_absent() -> None:
    """Every reader takes empty bytes for an absent record."""
    assert decode(b"") is ABSENT
    assert peek(b"") == peek(None) == peek(encode(ABSENT).ljust(14)) == NEVER
    assert not is_live(b"")
    assert not is_live(None)
    assert decode(encode(ABSENT)) == ABSENT


def test_header_at_rest_is_small() -> None:
    """A record with two dots and no operations costs 28 bytes in addition to its body."""
    assert len(encode(State((Dot(9, 2), Dot(8, 1)), True, OLD))) - len(OLD) == 28


# The step.


@steady
@given(states(), versions(), st.sampled_from(Kind), st.none() | operations(), st.booleans())
def test_step_dominates_both_base_states(
    base: State, other: tuple[Dot, ...], kind: Kind, operation: Operation | None, doubt: bool
) -> None:
    """After any change the state has the round's ballot, and no base state is ahead of it."""
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


def test_change_takes_effect_and_leaves_an_entry() -> None:
    """A change that succeeds sets the value, and appends its operation to the entries."""
    earlier = Entry(Operation(b"gateway-0000"), Outcome.DONE)
    base = live(earlier)
    made = step(base, base, Intent(Change(Kind.UPDATE, NEW), MINE), BALLOT, REMEMBERING)
    assert made.outcome is Outcome.DONE
    assert made.state.value == b'{"a":1,"b":2}'
    assert made.state.recent == (earlier, Entry(MINE, Outcome.DONE))


def test_retry_gets_the_first_outcome() -> None:
    """The retry of an operation changes nothing, even after a delete, and keeps its outcome."""
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
    """An entry in the older base state does not count."""
    loser = State((Dot(4, 2),), True, NEW, (Entry(MINE, Outcome.DONE),))
    made = step(live(), loser, Intent(Change(Kind.UPDATE, NEW), MINE), BALLOT, REMEMBERING)
    assert made.outcome is Outcome.DONE
    assert made.state.value == b'{"a":1,"b":2}'


def test_refusal_is_recorded_only_in_doubt() -> None:
    """A refusal leaves an entry only if an earlier attempt may still arrive."""
    create = Change(Kind.CREATE, NEW)
    doubtful = step(live(), live(), Intent(create, MINE, record_refusal=True), BALLOT, REMEMBERING)
    assert (doubtful.outcome, doubtful.state.value) == (Outcome.EXISTS, OLD)
    assert doubtful.state.recent == (Entry(MINE, Outcome.EXISTS),)
    assert remembered(doubtful.state, MINE) is Outcome.EXISTS
    certain = step(live(), live(), Intent(create, MINE), BALLOT, REMEMBERING)
    assert (certain.outcome, certain.state.recent) == (Outcome.EXISTS, ())


def test_recorded_refusal_binds_a_late_first_attempt() -> None:
    """An operation with a recorded refusal stays refused, even if the record now allows it."""
    base = State((Dot(5, 1),), False, b"", (Entry(MINE, Outcome.EXISTS),))
    made = step(base, base, Intent(Change(Kind.CREATE, NEW), MINE), BALLOT, REMEMBERING)
    assert (made.outcome, made.state.value) == (Outcome.EXISTS, None)


def test_key_used_for_another_request_is_reused() -> None:
    """An Idempotency-Key of another request on this record gives REUSED and changes nothing."""
    base = live(keyed=log())
    other = Operation(NAMED.id, b"wxyz")
    made = step(base, base, Intent(Change(Kind.UPDATE, NEW), other), BALLOT, REMEMBERING)
    assert (made.outcome, made.state.value) == (Outcome.REUSED, OLD)
    assert remembered(base, other) is Outcome.REUSED


@steady
@given(states(), st.sets(st.integers(0, 4)))
def test_step_drops_forgettable_entries_only(base: State, which: set[int]) -> None:
    """A step drops forgettable entries, and keeps the order of the others and the value."""
    gone = Forgetting({id(entry) for number, entry in enumerate(base.recent) if number in which})
    after = step(base, base, SETTLE, Dot(2**64 - 1, 2**32 - 1), gone)
    kept = tuple(entry for number, entry in enumerate(base.recent) if number not in which)
    assert after.state.recent == kept
    assert after.state.value == base.value


def test_tombstone_keeps_its_last_body_only_for_keyed_operations() -> None:
    """A tombstone keeps the last body only while it has a log of keyed operations."""
    delete = Intent(Change(Kind.DELETE), MINE)
    plain = step(live(), live(), delete, BALLOT, REMEMBERING).state
    assert (plain.live, plain.body) == (False, b"")
    named = live(keyed=log())
    kept = step(named, named, delete, BALLOT, REMEMBERING).state
    assert (kept.live, kept.value, kept.body) == (False, None, OLD)
    later = step(kept, kept, SETTLE, Dot(2**63 + 1, 7), Forgetting(set(), EARLIER))
    assert (later.state.body, later.state.keyed) == (b"", b"")


# Keyed operations.


def test_keyed_operation_leaves_its_ballot() -> None:
    """A keyed change that succeeds, or is refused in doubt, leaves its ballot in the log."""
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


def test_step_reports_every_ballot_before_it_trims_the_log() -> None:
    """A step on a record with a log reports its ballots, and drops expired slices."""
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
def test_state_without_its_log_keeps_all_else(state: State) -> None:
    """A state without its log has the same version, liveness and body."""
    bare = decode(without_log(encode(state)))
    assert bare == State(state.version, state.live, state.body, state.recent)
    assert without_log(b"") == b""


def earlier_layout(*entries: bytes) -> bytes:
    """Return a live record of one dot in the earlier layout."""
    head = b"\x11\x01" + (9).to_bytes(8, "big") + (7).to_bytes(4, "big")
    return head + len(entries).to_bytes(2, "big") + b"".join(entries) + OLD


def test_earlier_layout_is_decoded() -> None:
    """Keyed entries of the earlier layout become a log with the state's ballot."""
    raw = earlier_layout(b"\x00gateway-0001", b"\x82client-namedabcd", b"\x80client-otherwxyz")
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


def test_state_without_keyed_operations_has_the_earlier_layout() -> None:
    """A state without keyed operations has the same bytes in both layouts."""
    raw = earlier_layout(b"\x00gateway-0001")
    assert encode(decode(raw)) == raw


@pytest.mark.parametrize("length", [0, 10, 34, 35, 36, 200])
def test_log_of_wrong_length_is_damaged(length: int) -> None:
    """A log whose slices do not fill it exactly is damaged."""
    raw = encode(live(keyed=log() + log()))
    at = raw.index(len(log() + log()).to_bytes(4, "big"))
    damaged = raw[:at] + length.to_bytes(4, "big") + raw[at + 4 :]
    if length in (0, 35):
        assert decode(damaged).body != OLD
        return
    with pytest.raises(DamagedState):
        decode(damaged)
