"""The bytes of a state, in the present layout and in the earlier one."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ddb.record.change import Outcome
from ddb.record.codec import (
    HEAD,
    KEYED,
    LIVE,
    LOGGED,
    body_of,
    decode,
    encode,
    is_live,
    peek,
    peek_each,
    without_log,
)
from ddb.record.keyed_log import count, oldest
from ddb.record.state import (
    ABSENT,
    SETTLE,
    DamagedState,
    Entry,
    Operation,
    State,
    remembered,
    step,
)
from ddb.record.version import NEVER, Dot
from tests.record.samples import BALLOT, MINE, NAMED, OLD, Forgetting, live, log
from tests.record.strategies import states

steady = settings(deadline=None)
WITHOUT_DOTS = st.binary(min_size=12, max_size=12).map(b"\x10\x00".__add__)
"""States without a dot that are long enough for one."""


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
@given(st.lists(states().map(encode) | st.binary(max_size=20) | WITHOUT_DOTS))
def test_heads_are_read_together_as_one_by_one(stored: list[bytes]) -> None:
    """Heads read together give the dots that each gives alone, and damage where one is damaged."""
    heads = [raw[HEAD] for raw in stored]
    try:
        expected = [peek(raw) for raw in stored]
    except DamagedState:
        with pytest.raises(DamagedState):
            peek_each(heads)
    else:
        assert list(peek_each(heads)) == expected


@steady
@given(st.lists(st.tuples(st.sampled_from(Outcome), st.booleans()), max_size=5))
def test_body_follows_entries_of_either_layout(
    entries: list[tuple[Outcome, bool]],
) -> None:
    """The body is found after entries of both lengths, in any order."""
    raw = earlier_layout(
        *(
            bytes((outcome | (KEYED if keyed else 0),)) + bytes(16 if keyed else 12)
            for outcome, keyed in entries
        )
    )
    assert body_of(raw) == decode(raw).body == OLD


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
