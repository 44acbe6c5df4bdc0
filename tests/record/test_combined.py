"""Several intents in one round, compared with one round for each."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.record import keyed_log
from ddb.record.change import ANY, Change, Kind, Outcome, tag_of
from ddb.record.combined import Combined, combine
from ddb.record.state import ABSENT, Entry, Intent, Operation, State, Step, step
from ddb.record.version import Dot
from tests.record.samples import BALLOT, MINE, NAMED, NEW, OLD, Forgetting, live, log
from tests.record.strategies import REMEMBERING

steady = settings(deadline=None)
KEEP = REMEMBERING
ROOM = 1000
TAGS = tuple(tag_of(body) for body in (OLD, NEW, b'{"a":1,"b":2}'))
OPERATIONS = (
    None,
    *(Operation(b"gateway-%04d" % number) for number in range(4)),
    *(Operation(b"client-%05d" % number, b"abc%d" % (number % 2)) for number in range(4)),
    Operation(b"client-00000", b"wxyz"),
)
BASES = (ABSENT, live(), live(Entry(MINE, Outcome.EXISTS), keyed=log()), State((Dot(5, 1),)))


def changes() -> st.SearchStrategy[Change]:
    """Return a strategy for changes that often meet a record, and often a matching one."""
    return st.one_of(
        st.builds(Change, st.just(Kind.CREATE), st.sampled_from((OLD, NEW))),
        st.builds(
            Change,
            st.just(Kind.UPDATE),
            st.sampled_from((b'{"a":2}', NEW)),
            st.sampled_from(((), (ANY,), *((tag,) for tag in TAGS))),
        ),
        st.builds(
            Change, st.just(Kind.DELETE), st.just(b""), st.sampled_from(((), (ANY,), TAGS[:2]))
        ),
    )


def intents() -> st.SearchStrategy[list[Intent]]:
    """Return a strategy for intents of few operations, so that some of them repeat."""
    intent = st.builds(Intent, changes(), st.sampled_from(OPERATIONS), st.booleans())
    return st.lists(intent, max_size=12)


@steady
@given(st.sampled_from(BASES), intents())
def test_combined_intents_equal_single_steps(base: State, given: list[Intent]) -> None:
    """One round of several intents equals one step after the other under the same ballot."""
    steps, last = list[Step](), base
    for intent in given:
        steps.append(step(last, last, intent, BALLOT, KEEP))
        last = steps[-1].state
    combined = combine(base, base, given, BALLOT, KEEP, ROOM)
    assert combined.steps == tuple(steps)
    if given:
        assert combined.state == last


@steady
@given(st.sampled_from(BASES), intents())
def test_combined_intents_equal_single_rounds(base: State, given: list[Intent]) -> None:
    """One round of several intents has the outcomes and values of one round for each."""
    combined, state = combine(base, base, given, BALLOT, KEEP, ROOM), base
    for number, (intent, made) in enumerate(zip(given, combined.steps, strict=True)):
        assert made is not None
        alone = step(state, state, intent, Dot(BALLOT.counter + number, 7), KEEP)
        state = alone.state
        assert (made.outcome, made.recalled) == (alone.outcome, alone.recalled)
        assert (made.state.value, made.state.recent) == (state.value, state.recent)
    assert keyed_log.count(combined.state.keyed) == keyed_log.count(state.keyed) or not given


@steady
@given(st.sampled_from(BASES), intents(), st.integers(-1, 4))
def test_intents_without_room_leave_no_trace(base: State, given: list[Intent], room: int) -> None:
    """The log takes as many keyed operations as it has room for; the others change nothing."""
    combined = combine(base, base, given, BALLOT, KEEP, room)
    grown = keyed_log.count(combined.state.keyed) - keyed_log.count(base.keyed)
    assert grown <= max(room, 0) or not given
    fits = [made is not None for made in combined.steps]
    without = [intent for intent, fit in zip(given, fits, strict=True) if fit]
    again = combine(base, base, without, BALLOT, KEEP, ROOM)
    assert again.steps == tuple(made for made in combined.steps if made is not None)
    for intent, fit in zip(given, fits, strict=True):
        assert fit or (intent.operation is not None and intent.operation.fingerprint)
    proposed = [Intent(each.change, each.operation, True, True) for each in given]
    assert None not in combine(base, base, proposed, BALLOT, KEEP, room).steps


def test_retry_finds_itself_in_its_own_round() -> None:
    """The second of two attempts at one operation in a round gets the first one's outcome."""
    update, other = Change(Kind.UPDATE, b'{"a":2}'), Change(Kind.UPDATE, b'{"a":3}')
    for operation in (MINE, NAMED):
        attempt = Intent(update, operation, True)
        made = combine(live(), live(), [attempt, Intent(other, None), attempt], BALLOT, KEEP, ROOM)
        assert [each and each.outcome for each in made.steps] == [Outcome.DONE] * 3
        assert [each and each.recalled for each in made.steps] == [False, False, True]
        assert made.state.value == b'{"a":3,"b":1}'


def test_retry_finds_an_operation_that_its_round_forgets() -> None:
    """A round recognises the operations of its base, even those that its state drops."""
    entry = Entry(MINE, Outcome.DONE)
    base, forgetting = live(entry), Forgetting({id(entry)})
    made = combine(base, base, [Intent(Change(Kind.DELETE), MINE)], BALLOT, forgetting, ROOM)
    assert made == Combined(made.state, (Step(Outcome.DONE, made.state, True),))
    assert (made.state.value, made.state.recent) == (OLD, ())
