"""The step from one state of a record to the next."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ddb.record.change import Change, Kind, Outcome
from ddb.record.codec import decode, encode
from ddb.record.keyed_log import oldest
from ddb.record.state import (
    ABSENT,
    SETTLE,
    Entry,
    Intent,
    Operation,
    State,
    remembered,
    step,
)
from ddb.record.version import Dot, Order, compare
from tests.record.samples import BALLOT, EARLIER, MINE, NAMED, NEW, OLD, Forgetting, live, log
from tests.record.strategies import REMEMBERING, operations, states, versions

steady = settings(deadline=None)


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
