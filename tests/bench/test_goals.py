import pytest

from bench.faults import Fault, Phase
from bench.goals import GET, PUT, Goal, Side, goals
from bench.growth import Growth
from bench.paced import Second
from bench.rounds import Results
from bench.sample import Sample, Spread


def results_of(figures: dict[str, float]) -> Results:
    """Return one round of GET and PUT. `figures`: microseconds of CPU by system."""
    results = Results()
    for load in (GET, PUT):
        for name, cpu in figures.items():
            results.add(load, name, 1, Sample(1e6 / cpu, 1, 2, 3, cpu, 0.0))
    return results


def by_name(found: list[Goal]) -> dict[str, Goal]:
    """Index the goals by name. No two goals have the same name."""
    named = {goal.name: goal for goal in found}
    assert len(named) == len(found)
    return named


@pytest.mark.parametrize(("side", "better"), [(Side.AT_MOST, 0.9), (Side.AT_LEAST, 1.1)])
def test_a_goal_is_reached_on_its_side(side: Side, better: float) -> None:
    """A figure at its bound or better reaches the goal; a worse one does not."""
    assert Goal("a", side, 10, 10).reached is True
    assert Goal("a", side, 10, 10 * better).reached is True
    assert Goal("a", side, 10, 10 / better).reached is False


def test_goal_without_a_figure_is_open() -> None:
    """The goals of a missing system are neither reached nor missed."""
    found = by_name(goals(results_of({"echo": 40, "ddb": 60}), None))
    assert found["GET, CPU relative to the echo"].measured == pytest.approx(1.5)
    assert found["GET, requests/s relative to etcd"].reached is None


def test_rates_are_compared_as_rates() -> None:
    """The ratio of two rates is ddb's requests per second divided by the peer's."""
    found = by_name(goals(results_of({"ddb": 50, "etcd": 150, "fastapi": 100}), None))
    assert found["GET, requests/s relative to etcd"].measured == pytest.approx(3.0)
    assert found["PUT, requests/s relative to fastapi"].reached is False


def test_goals_of_growth_and_of_the_fault() -> None:
    """The goals compare the largest cluster with the smallest, and the handoff with before."""
    growth = Growth(
        nodes=results_of({"echo": 40, "3 nodes": 100, "5 nodes": 300, "9 nodes": 110}),
        records=results_of({"echo": 40, "1,000 users": 100, "1,000,000 users": 150}),
        counting=Spread(1, 5, 40),
        logical=100,
        compacted=125,
        fault=Fault(
            timeline=[
                (Phase.BEFORE, Second(0, [0.004] * 10)),
                (Phase.KILLED, Second(1, [0.3], refused=1, broken=1)),
                (Phase.HANDOFF, Second(2, [0.010] * 10)),
            ],
            idle_hints=50_000,
            idle_handoff_s=2.0,
        ),
    )
    found = by_name(goals(Results(), growth))
    measured = {name: goal.measured for name, goal in found.items()}
    assert measured["GET, CPU on 9 nodes relative to 3 nodes"] == pytest.approx(1.1)
    assert measured["PUT, CPU with most records relative to fewest"] == pytest.approx(1.5)
    assert measured["disk for two copies relative to the JSON"] == pytest.approx(1.25)
    assert measured["COUNT of all records, ms"] == 5
    assert measured["hints handed off per second, when idle"] == pytest.approx(25_000)
    assert measured["p99 during handoff relative to before"] == pytest.approx(2.5)
    assert measured["slowest answer while a node is killed, ms"] == pytest.approx(300)
    assert measured["requests refused or unanswered meanwhile"] == 2
