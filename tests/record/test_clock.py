"""The hybrid clock."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.record.clock import LOGICAL_BITS, HybridClock, at_millisecond, millisecond_of

steady = settings(deadline=None)
walls = st.integers(0, 2**44)
counters = st.integers(0, 2**60)


@steady
@given(counters, st.lists(st.tuples(walls, counters, st.booleans())))
def test_grows_whatever_the_wall_clock_does(start: int, steps: list[tuple[int, int, bool]]) -> None:
    """Each counter is above all issued and observed before, and above what it is told to be."""
    clock = HybridClock(start)
    highest = start
    for wall, other, observed in steps:
        if observed:
            clock.observe(other)
            highest = max(highest, other)
        else:
            counter = clock.next(wall, above=other)
            assert counter > highest
            assert counter > other
            assert counter >= at_millisecond(wall)
            highest = counter
        assert clock.last == highest


@steady
@given(walls)
def test_follows_the_wall_clock_where_it_can(wall: int) -> None:
    """With nothing newer in sight a counter is the first of its millisecond."""
    assert HybridClock().next(wall + 1) == at_millisecond(wall + 1)
    assert millisecond_of(at_millisecond(wall)) == wall


def test_a_busy_millisecond_is_not_left_early() -> None:
    """A whole millisecond's worth of counters fits below the next millisecond."""
    clock = HybridClock()
    first = clock.next(1_000)
    clock.observe(first + 2**LOGICAL_BITS - 2)
    assert millisecond_of(clock.next(1_000)) == 1_000
    assert millisecond_of(clock.next(1_000)) == 1_001
