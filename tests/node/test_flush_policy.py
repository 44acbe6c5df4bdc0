"""The two tables of the flush policy, row by row."""

import pytest

from ddb.node.storage.flush_policy import (
    MIN_CROWD_COMMITS,
    QUICK_FLUSH_S,
    SLOW_FLUSH_S,
    THREAD_FLUSH_PERIOD_S,
    FlushPolicy,
    Place,
)

LATER_S = 1e-6
"""Seconds between two moments that a test tells apart."""
CROWD = MIN_CROWD_COMMITS + 1


@pytest.mark.parametrize(
    ("covered", "crowd"),
    [((0,), 0), ((MIN_CROWD_COMMITS,), 0), ((CROWD,), CROWD), ((32,), 32), ((32, 1), 0)],
)
def test_the_next_flush_waits_for_as_many_commits_as_the_last_covered(
    covered: tuple[int, ...], crowd: int
) -> None:
    """Only the last flush counts, and only a crowd makes the next one wait."""
    policy = FlushPolicy(0.0)
    for commits in covered:
        policy.cover(commits)
    assert policy.crowd == crowd


def test_a_new_store_flushes_in_the_thread_for_one_period() -> None:
    """The policy measures a disk before the loop waits for it."""
    policy = FlushPolicy(10.0)
    assert policy.place(10.0 + THREAD_FLUSH_PERIOD_S - LATER_S) is Place.THREAD
    assert policy.place(10.0 + THREAD_FLUSH_PERIOD_S) is Place.LOOP


@pytest.mark.parametrize(
    ("place", "seconds", "thread"),
    [
        (Place.LOOP, QUICK_FLUSH_S, False),
        (Place.LOOP, QUICK_FLUSH_S + LATER_S, True),
        (Place.THREAD, QUICK_FLUSH_S + LATER_S, False),
        (Place.THREAD, SLOW_FLUSH_S, False),
        (Place.THREAD, SLOW_FLUSH_S + LATER_S, True),
    ],
)
def test_a_slow_flush_moves_the_next_ones_to_the_thread(
    place: Place, seconds: float, thread: bool
) -> None:
    """The limit depends on where the flush ran; the period starts when the flush ends."""
    policy = FlushPolicy(-THREAD_FLUSH_PERIOD_S)
    policy.end(place, 0.0, seconds)
    end_of_period = seconds + THREAD_FLUSH_PERIOD_S
    assert policy.place(end_of_period - LATER_S) is (Place.THREAD if thread else Place.LOOP)
    assert policy.place(end_of_period) is Place.LOOP


def test_a_quick_flush_in_the_thread_does_not_end_the_period() -> None:
    """After a slow flush the thread keeps the flushes for the whole period."""
    policy = FlushPolicy(0.0)
    policy.end(Place.THREAD, 0.1, 0.1 + LATER_S)
    assert policy.place(0.2) is Place.THREAD
    assert repr(policy) == "<FlushPolicy crowd of 0, thread until 0.500>"
