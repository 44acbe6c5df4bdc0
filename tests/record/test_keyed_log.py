"""The log of keyed operations: lookup, slices and removal."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.record import keyed_log
from ddb.record.change import Outcome
from ddb.record.keyed_log import (
    DIGEST_BYTES,
    ENTRY_BYTES,
    SLICE_ENTRIES,
    SLICE_SPAN,
    appended,
    count,
    migrated,
    oldest,
    recalled,
    starts,
    trimmed,
)
from ddb.record.version import Dot

steady = settings(deadline=None)
HEADER = 22


def digest(number: int) -> bytes:
    return number.to_bytes(DIGEST_BYTES, "big")


def log_of(ballots: list[Dot]) -> bytes:
    log = b""
    for number, ballot in enumerate(ballots):
        log = appended(log, digest(number), b"abcd", Outcome.DONE, ballot)
    return log


# Few digests of few byte values, so that one digest begins in the middle of another.
_named = st.tuples(
    st.lists(st.sampled_from((0, 1)), min_size=DIGEST_BYTES, max_size=DIGEST_BYTES).map(bytes),
    st.sampled_from((b"\0\0\0\0", b"\0\1\0\1")),
    st.sampled_from(Outcome),
    st.integers(0, SLICE_SPAN // 3),
)


@steady
@given(st.lists(_named, max_size=40), st.integers(0, 40))
def test_log_equals_a_dictionary(
    operations: list[tuple[bytes, bytes, Outcome, int]], forgotten: int
) -> None:
    """The log returns each outcome, and `REUSED` for a key with another request."""
    log, counter = b"", 1
    model: list[tuple[bytes, bytes, Outcome, Dot]] = []
    for name, fingerprint, outcome, later in operations:
        counter += later
        if recalled(log, name, fingerprint) is None:
            ballot = Dot(counter, 7)
            log = appended(log, name, fingerprint, outcome, ballot)
            model.append((name, fingerprint, outcome, ballot))
    upto = model[forgotten][3] if forgotten < len(model) else Dot(0, 0)
    log = trimmed(log, lambda ballot: ballot < upto)
    for number, (name, fingerprint, outcome, ballot) in enumerate(model):
        found = recalled(log, name, fingerprint)
        if found is None:
            assert ballot < upto
            continue
        assert found is outcome
        other = b"else"
        assert recalled(log, name, other) is Outcome.REUSED
        assert count(log) >= len(model) - number
    for name in {name for name, *_ in operations} - {name for name, *_ in model}:
        assert recalled(log, name, b"else") is None


def test_slice_ends_by_number_and_by_span() -> None:
    """A slice ends after `SLICE_ENTRIES` entries and after `SLICE_SPAN` counters."""
    full = log_of([Dot(5, 1)] * (SLICE_ENTRIES + 1))
    assert len(starts(full)) == 2
    assert count(full) == SLICE_ENTRIES + 1
    assert len(starts(log_of([Dot(5, 1), Dot(4 + SLICE_SPAN, 1)]))) == 1
    assert len(starts(log_of([Dot(5, 1), Dot(5 + SLICE_SPAN, 1)]))) == 2


def test_slice_is_as_old_as_its_last_entry() -> None:
    """A slice stays until its newest ballot expires, and then disappears as a whole."""
    log = log_of([Dot(5, 1), Dot(9, 2), Dot(9 + SLICE_SPAN, 1)])
    assert oldest(log) == Dot(9, 2)
    assert trimmed(log, lambda ballot: ballot < Dot(9, 2)) == log
    left = trimmed(log, lambda ballot: ballot <= Dot(9, 2))
    assert (count(left), oldest(left)) == (1, Dot(9 + SLICE_SPAN, 1))
    assert recalled(left, digest(0), b"abcd") is None
    assert recalled(left, digest(2), b"abcd") is Outcome.DONE
    assert trimmed(log, lambda _: True) == b""


def test_later_slice_waits_for_an_earlier_one() -> None:
    """A slice that has not expired keeps every later slice, too."""
    log = log_of([Dot(5, 1), Dot(5 + SLICE_SPAN, 2)])
    assert trimmed(log, lambda ballot: ballot.node == 2) == log


def test_size_of_an_entry() -> None:
    """A thousand operations take 13 bytes each, and a header for each slice."""
    assert len(log_of([Dot(5, 1)] * 1000)) == 1000 * ENTRY_BYTES + 4 * HEADER
    assert ENTRY_BYTES == 13


def test_entries_without_headers_become_one_slice() -> None:
    """Entries without headers become one slice with the state's ballot; no entries, no slice."""
    entry = digest(3) + b"abcd" + bytes((Outcome.ABSENT,))
    log = migrated(entry * 2, Dot(8, 1))
    assert (count(log), oldest(log)) == (2, Dot(8, 1))
    assert recalled(log, digest(3), b"abcd") is Outcome.ABSENT
    assert migrated(b"", Dot(8, 1)) == b""


@pytest.mark.parametrize("cut", [1, 2, HEADER, HEADER + 1, HEADER + ENTRY_BYTES - 1])
def test_cut_log_is_damaged(cut: int) -> None:
    """`starts` refuses a log that ends within a slice."""
    with pytest.raises(ValueError, match="slice"):
        keyed_log.starts(log_of([Dot(5, 1)])[:cut])
