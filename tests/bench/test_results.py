import pytest

from bench.keys import Keys
from bench.rounds import Results
from bench.sample import Load, Metric, Sample, Spread
from bench.table import brief, spread
from bench.workload import Operation

GET = Load(Operation.GET, Keys.UNIFORM)


def sample(cpu: float, rate: float = 1000.0) -> Sample:
    """Return a sample with this CPU and this rate."""
    return Sample(rate=rate, p50=1, p99=2, p999=3, cpu=cpu, others=0.0)


@pytest.fixture
def results() -> Results:
    """Return three rounds of a slowing machine. ddb failed the second."""
    results = Results()
    for number, (echo, ddb) in enumerate([(40, 80), (50, None), (80, 160)], start=1):
        results.add(GET, "echo", number, sample(echo))
        if ddb is not None:
            results.add(GET, "ddb", number, sample(ddb))
    return results


def test_ratios_are_taken_within_rounds(results: Results) -> None:
    """A ratio compares two systems within one round, so the drift of the machine cancels."""
    assert results.ratio(GET, "ddb", "echo", Metric.CPU) == Spread(2.0, 2.0, 2.0)


def test_a_skipped_system_has_no_figures(results: Results) -> None:
    """A system that did not run has neither figures nor ratios."""
    assert results.spread(GET, "etcd", Metric.CPU) is None
    assert results.ratio(GET, "etcd", "echo", Metric.CPU) is None


def test_format_of_a_spread() -> None:
    """A spread shows its median, with the least and the greatest in brackets."""
    assert spread(Spread.over([3.0, 1.0, 2.0, 10.0]), 1) == "2.5 (1.0 to 10.0)"


def test_the_table_has_a_row_for_each_system(results: Results) -> None:
    """Every measured system has a row, with its ratio to the echo."""
    lines = brief(results, ["echo", "ddb", "etcd"]).splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["echo", "ddb"]
    assert "2.00 (2.00 to 2.00)" in lines[-1]
