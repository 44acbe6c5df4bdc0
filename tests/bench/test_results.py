import pytest

from bench.keys import Keys
from bench.rounds import Results
from bench.sample import Load, Metric, Sample, Spread
from bench.table import brief, spread
from bench.workload import Operation

GET = Load(Operation.GET, Keys.UNIFORM)


def sample(cpu: float, rate: float = 1000.0) -> Sample:
    """A sample of which only these matter."""
    return Sample(rate=rate, p50=1, p99=2, p999=3, cpu=cpu, others=0.0)


@pytest.fixture
def results() -> Results:
    """Three rounds on a machine that slows down, of which ddb failed one."""
    results = Results()
    for number, (echo, ddb) in enumerate([(40, 80), (50, None), (80, 160)], start=1):
        results.add(GET, "echo", number, sample(echo))
        if ddb is not None:
            results.add(GET, "ddb", number, sample(ddb))
    return results


def test_ratios_are_taken_within_rounds(results: Results) -> None:
    """However the machine drifts, a ratio compares what ran side by side."""
    assert results.ratio(GET, "ddb", "echo", Metric.CPU) == Spread(2.0, 2.0, 2.0)


def test_what_was_not_measured_has_no_figure(results: Results) -> None:
    """A system that was left out has neither figures nor ratios."""
    assert results.spread(GET, "etcd", Metric.CPU) is None
    assert results.ratio(GET, "etcd", "echo", Metric.CPU) is None


def test_a_spread_is_least_median_greatest() -> None:
    """Over the rounds the median is told, with the extremes beside it."""
    assert spread(Spread.over([3.0, 1.0, 2.0, 10.0]), 1) == "2.5 (1.0 to 10.0)"


def test_the_table_has_a_line_for_each_system(results: Results) -> None:
    """Every system that was measured has its line, with its ratio to the echo."""
    lines = brief(results, ["echo", "ddb", "etcd"]).splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["echo", "ddb"]
    assert "2.00 (2.00 to 2.00)" in lines[-1]
