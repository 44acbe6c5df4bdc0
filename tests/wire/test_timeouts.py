"""The time-outs and their budget."""

import dataclasses

import pytest

from ddb.node.storage.disk_health import GIVE_UP_AFTER
from ddb.settings import MAX_BUDGET_MS, MIN_BUDGET_MS
from ddb.wire.in_flight import HARD_TIMEOUT_FACTOR
from ddb.wire.timeouts import DEFAULT, Timeouts

BUDGETS_MS = (MIN_BUDGET_MS, 225, 1000, MAX_BUDGET_MS)


def test_default_budget_gives_the_documented_time_outs() -> None:
    """A budget of 225 ms gives 60 ms to a silent coordinator and 40 ms to a silent peer."""
    rounded = {name: round(1000 * value, 3) for name, value in dataclasses.asdict(DEFAULT).items()}
    assert rounded == {
        "request_s": 225.0,
        "coordinator_s": 60.0,
        "scan_s": 60.0,
        "peer_s": 40.0,
        "hedge_s": 10.0,
        "give_way_s": 20.0,
        "admission_s": 135.0,
        "turn_s": 123.75,
        "read_admission_s": 168.75,
        "scan_admission_s": 168.75,
        "begin_s": 67.5,
        "flush_overdue_s": 50.0,
    }


@pytest.mark.parametrize("budget_ms", BUDGETS_MS)
def test_waits_leave_time_for_the_rounds(budget_ms: int) -> None:
    """At any budget the longest silence leaves more than 40 % for the rounds."""
    timeouts = Timeouts.of(budget_ms / 1000)
    first = max(timeouts.coordinator_s, 2 * timeouts.peer_s)
    assert timeouts.worst_waits_s == pytest.approx(first + timeouts.peer_s)
    assert timeouts.worst_waits_s < 0.6 * timeouts.request_s


@pytest.mark.parametrize("budget_ms", BUDGETS_MS)
def test_admitted_change_can_be_begun(budget_ms: int) -> None:
    """After the longest admission a change still has the time that its coordinator requires."""
    timeouts = Timeouts.of(budget_ms / 1000)
    assert timeouts.admission_s + timeouts.begin_s < timeouts.request_s
    assert timeouts.begin_s > timeouts.peer_s


@pytest.mark.parametrize("budget_ms", BUDGETS_MS)
def test_a_turn_outlasts_a_disk_that_a_peer_gives_up(budget_ms: int) -> None:
    """A change waits longer for its turn than the change before it waits for one slow disk."""
    timeouts = Timeouts.of(budget_ms / 1000)
    give_up_s = GIVE_UP_AFTER * timeouts.flush_overdue_s
    assert timeouts.turn_s > give_up_s + 2 * timeouts.hedge_s


@pytest.mark.parametrize("budget_ms", BUDGETS_MS)
def test_a_turn_that_comes_late_still_gets_its_reply_in_time(budget_ms: int) -> None:
    """After the longest turn and one silent peer the gateway still waits for the coordinator."""
    timeouts = Timeouts.of(budget_ms / 1000)
    longest_s = HARD_TIMEOUT_FACTOR * timeouts.coordinator_s
    assert timeouts.turn_s + timeouts.peer_s < longest_s
    assert timeouts.turn_s + timeouts.begin_s < timeouts.request_s
