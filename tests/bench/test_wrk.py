import pytest

from bench.sample import RoundFailed, Run
from bench.wrk import Measured, WrkError, parse

OUTPUT = """Running 2s test @ http://127.0.0.1:12345
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.60ms  412.34us  11.46ms   91.20%
    Req/Sec    20.53k     1.10k   21.51k    85.00%
  41061 requests in 2.00s, 9.91MB read
Requests/sec:  20431.12
Transfer/sec:      4.93MB
{"requests": 41061, "issued": 41093, "seconds": 2.010000, "p50_us": 1505, "p99_us": 3005, \
"p999_us": 4571, "max_us": 11457, "refused": 0, "broken": 0}
"""


def test_figures_are_found_in_the_output() -> None:
    """The parser finds the script's line after the lines of wrk."""
    done = parse(OUTPUT)
    assert (done.requests, done.issued, done.p999_us, done.failures) == (41061, 41093, 4571, 0)
    assert done.rate == pytest.approx(20_428, abs=1)


def test_missing_figures_are_an_error() -> None:
    """If wrk prints no figures, the error contains wrk's own message."""
    with pytest.raises(WrkError, match="unable to connect"):
        parse("", "unable to connect to 127.0.0.1:1 Connection refused")


def test_damaged_figures_are_an_error() -> None:
    """The parser refuses an incomplete line of figures."""
    with pytest.raises(WrkError, match="are damaged"):
        parse('{"requests": 41061, "issued"')


@pytest.mark.parametrize(("refused", "broken"), [(1, 0), (0, 1)])
def test_one_bad_answer_fails_the_round(refused: int, broken: int) -> None:
    """One refused request or one broken connection invalidates the run."""
    done = Measured(
        requests=1000,
        issued=1000,
        seconds=1.0,
        p50_us=1,
        p99_us=2,
        p999_us=3,
        max_us=4,
        refused=refused,
        broken=broken,
    )
    with pytest.raises(RoundFailed, match="ddb, get uniform"):
        Run(done, cost=0.1, others=0.0).sample("ddb, get uniform")


def test_cpu_per_operation() -> None:
    """CPU per operation is the system's CPU time divided by the answers, in microseconds."""
    sample = Run(parse(OUTPUT), cost=2.05305, others=0.3).sample("echo")
    assert sample.cpu == pytest.approx(50.0)
