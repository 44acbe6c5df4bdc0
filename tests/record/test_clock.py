"""The hybrid clock."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.record.hybrid_clock import LOGICAL_BITS, HybridClock, at_millisecond, millisecond_of

steady = settings(deadline=None)
walls = st.integers(0, 2**44)
counters = st.integers(0, 2**60)


@steady
@given(counters, st.lists(st.tuples(walls, counters, st.booleans())))
def test_counters_grow_with_any_wall_clock(start: int, steps: list[tuple[int, int, bool]]) -> None:
    """Each counter exceeds `above` and all counters that were issued or observed before."""
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
def test_counters_follow_the_wall_clock(wall: int) -> None:
    """A clock that has observed nothing newer issues the first counter of the millisecond."""
    assert HybridClock().next(wall + 1) == at_millisecond(wall + 1)
    assert millisecond_of(at_millisecond(wall)) == wall


def test_a_millisecond_has_room_for_65536_counters() -> None:
    """The clock issues all counters of a millisecond before it enters the next one."""
    clock = HybridClock()
    first = clock.next(1_000)
    clock.observe(first + 2**LOGICAL_BITS - 2)
    assert millisecond_of(clock.next(1_000)) == 1_000
    assert millisecond_of(clock.next(1_000)) == 1_001
