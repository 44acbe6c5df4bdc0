"""The state of a disk, judged by its flushes."""

import pytest

from ddb.node.storage.disk_health import (
    GIVE_UP_AFTER,
    QUICK_FLUSHES,
    QUICK_SHARE,
    RECOVERY_S,
    STALLED_AFTER,
    DiskHealth,
)
from ddb.wire.messages import DiskState
from ddb.wire.timeouts import DEFAULT, DEFAULT_BUDGET_S, Timeouts

LIMIT = DEFAULT.flush_overdue_s
QUICK = 0.001


def state_of(health: DiskHealth) -> DiskState:
    """Return the state; a function, since mypy narrows the attribute after an assertion."""
    return health.state


def slow_disk() -> DiskHealth:
    """Return a disk whose last two flushes were overdue, the last one at time 0."""
    health = DiskHealth()
    health.ended(-1.0, LIMIT)
    health.ended(0.0, LIMIT)
    assert state_of(health) is DiskState.SLOW
    return health


def quick(health: DiskHealth, first: float, last: float, number: int = QUICK_FLUSHES) -> None:
    """End `number` quick flushes at equal intervals from `first` to `last`."""
    for at in range(number):
        health.ended(first + (last - first) * at / (number - 1), QUICK)


def test_quick_flushes_leave_a_disk_healthy() -> None:
    """Any number of flushes below the limit leave the disk healthy."""
    health = DiskHealth()
    for number in range(100):
        health.began(float(number))
        assert not health.check(number + 0.99 * LIMIT)
        health.ended(number + 0.99 * LIMIT, 0.99 * LIMIT)
    assert state_of(health) is DiskState.HEALTHY


def test_flush_in_flight_is_judged_by_its_age() -> None:
    """A flush becomes overdue; then its requests move; then the disk counts as stalled."""
    health = DiskHealth()
    health.began(10.0)
    steps = []
    now = 10.0
    while (due := health.due(now)) is not None:
        now += due + 1e-6
        steps.append((round((now - 10.0) / LIMIT, 2), health.check(now), health.state))
    assert steps == [
        (1, False, DiskState.SLOW),
        (GIVE_UP_AFTER, True, DiskState.SLOW),
        (STALLED_AFTER, False, DiskState.STALLED),
    ]


def test_nothing_in_flight_is_never_overdue() -> None:
    """An idle disk stays healthy, however long ago its last flush was."""
    health = DiskHealth()
    health.began(0.0)
    health.ended(QUICK, QUICK)
    assert not health.check(1000.0)
    assert health.due(1000.0) is None
    assert state_of(health) is DiskState.HEALTHY


def test_requests_move_once_until_the_disk_is_healthy() -> None:
    """While a disk stays slow, requests move from it only once; later ones wait."""
    health = DiskHealth()
    late = 1.01 * GIVE_UP_AFTER * LIMIT
    for begin, expected in ((0.0, True), (1.0, False)):
        health.began(begin)
        assert health.check(begin + late) is expected
        health.ended(begin + late, late)
    quick(health, 2.0, 2.0 + RECOVERY_S)
    assert state_of(health) is DiskState.HEALTHY
    health.began(5.0)
    assert health.check(5.0 + late)


def test_stalled_disk_is_slow_once_its_flush_ends() -> None:
    """The end of the flush proves that the disk works, but not that it is quick."""
    health = DiskHealth()
    health.began(0.0)
    health.check(1.01 * STALLED_AFTER * LIMIT)
    assert state_of(health) is DiskState.STALLED
    health.ended(1.0, 1.0)
    assert state_of(health) is DiskState.SLOW


@pytest.mark.parametrize(
    ("late", "state"),
    [
        ((LIMIT,), DiskState.HEALTHY),
        ((0.95 * GIVE_UP_AFTER * LIMIT,), DiskState.HEALTHY),
        ((GIVE_UP_AFTER * LIMIT,), DiskState.SLOW),
        ((LIMIT, LIMIT), DiskState.SLOW),
    ],
)
def test_one_late_flush_is_a_hiccup(late: tuple[float, ...], state: DiskState) -> None:
    """The next quick flush clears one late flush, but neither a very late one nor two."""
    health = DiskHealth()
    for at, seconds in enumerate(late):
        health.ended(float(at), seconds)
        assert state_of(health) is DiskState.SLOW
    health.ended(5.0, QUICK_SHARE * LIMIT * 1.01)
    assert state_of(health) is DiskState.SLOW
    health.ended(5.1, QUICK)
    assert state_of(health) is state
    health.ended(6.0, LIMIT)
    health.ended(6.1, QUICK)
    assert state_of(health) is state, "the next one is judged by itself"


def test_recovery_takes_quick_flushes_over_a_while() -> None:
    """Recovery needs enough quick flushes, and enough time between first and last."""
    health = slow_disk()
    quick(health, 1.0, 1.0 + 0.9 * RECOVERY_S, 3 * QUICK_FLUSHES)
    assert state_of(health) is DiskState.SLOW
    health = slow_disk()
    quick(health, 1.0, 1.0 + 9 * RECOVERY_S, QUICK_FLUSHES - 1)
    assert state_of(health) is DiskState.SLOW
    health.ended(1.0 + 9 * RECOVERY_S, QUICK)
    assert state_of(health) is DiskState.HEALTHY


def test_late_flush_begins_recovery_again() -> None:
    """A disk with intermittent stalls stays slow."""
    health = slow_disk()
    quick(health, 1.0, 1.0 + 0.9 * RECOVERY_S)
    health.ended(1.0 + 0.95 * RECOVERY_S, LIMIT)
    quick(health, 1.0 + RECOVERY_S, 1.0 + 1.5 * RECOVERY_S)
    assert state_of(health) is DiskState.SLOW
    quick(health, 1.0 + 1.6 * RECOVERY_S, 1.0 + 2.1 * RECOVERY_S)
    assert state_of(health) is DiskState.HEALTHY


def test_flush_that_is_neither_quick_nor_late_does_not_count() -> None:
    """Flushes near the limit neither recover a disk nor reset its recovery."""
    neither = QUICK_SHARE * LIMIT * 1.01
    health = slow_disk()
    for at in range(100):
        health.ended(1.0 + at * RECOVERY_S, neither)
    assert state_of(health) is DiskState.SLOW
    health = slow_disk()
    quick(health, 1.0, 1.0 + 0.9 * RECOVERY_S)
    health.ended(1.0 + 0.95 * RECOVERY_S, neither)
    health.ended(1.0 + RECOVERY_S, QUICK)
    assert state_of(health) is DiskState.HEALTHY


def test_the_limit_is_an_argument() -> None:
    """A node with a larger request budget waits longer for its disk."""
    health = DiskHealth(Timeouts.of(4 * DEFAULT_BUDGET_S))
    health.ended(0.0, 3 * LIMIT)
    assert state_of(health) is DiskState.HEALTHY
    health.ended(1.0, 4 * LIMIT)
    assert state_of(health) is DiskState.SLOW
