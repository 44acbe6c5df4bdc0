import pytest

from bench.faults import Fault, Phase
from bench.goals import GET, PUT, Goal, Side, goals
from bench.growth import Growth
from bench.paced import Second
from bench.rounds import Results
from bench.sample import Sample, Spread


def results_of(figures: dict[str, float]) -> Results:
    """One round of GET and PUT in which the named systems took so many microseconds."""
    results = Results()
    for load in (GET, PUT):
        for name, cpu in figures.items():
            results.add(load, name, 1, Sample(1e6 / cpu, 1, 2, 3, cpu, 0.0))
    return results


def by_name(found: list[Goal]) -> dict[str, Goal]:
    """The goals by their names, of which none comes twice."""
    named = {goal.name: goal for goal in found}
    assert len(named) == len(found)
    return named


@pytest.mark.parametrize(("side", "better"), [(Side.AT_MOST, 0.9), (Side.AT_LEAST, 1.1)])
def test_a_goal_is_reached_on_its_side(side: Side, better: float) -> None:
    """A figure at its bound or better reaches the goal, a worse one does not."""
    assert Goal("a", side, 10, 10).reached is True
    assert Goal("a", side, 10, 10 * better).reached is True
    assert Goal("a", side, 10, 10 / better).reached is False


def test_what_was_not_measured_is_not_judged() -> None:
    """A missing system leaves its goals open."""
    found = by_name(goals(results_of({"echo": 40, "ddb": 60}), None))
    assert found["GET, CPU by the echo's"].measured == pytest.approx(1.5)
    assert found["GET, requests/s by etcd's"].reached is None


def test_rates_are_compared_as_rates() -> None:
    """A peer that answers a third of ddb's requests a second is three times slower."""
    found = by_name(goals(results_of({"ddb": 50, "etcd": 150, "fastapi": 100}), None))
    assert found["GET, requests/s by etcd's"].measured == pytest.approx(3.0)
    assert found["PUT, requests/s by fastapi's"].reached is False


def test_growth_and_faults_have_goals_too() -> None:
    """Nodes, records, disk, COUNT and the fault are judged by the biggest against the smallest."""
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
                (Phase.DRAINING, Second(2, [0.010] * 10)),
            ],
            idle_hints=50_000,
            idle_drained_in=2.0,
        ),
    )
    found = by_name(goals(Results(), growth))
    measured = {name: goal.measured for name, goal in found.items()}
    assert measured["GET, CPU on 9 nodes by that on 3 nodes"] == pytest.approx(1.1)
    assert measured["PUT, CPU with most by with fewest records"] == pytest.approx(1.5)
    assert measured["disk, two copies, by logical bytes"] == pytest.approx(1.25)
    assert measured["COUNT of the most records, ms"] == 5
    assert measured["replay of hints when idle, a second"] == pytest.approx(25_000)
    assert measured["p99 while draining by that of before"] == pytest.approx(2.5)
    assert measured["worst answer with a node killed, ms"] == pytest.approx(300)
    assert measured["requests refused or unanswered then"] == 2
