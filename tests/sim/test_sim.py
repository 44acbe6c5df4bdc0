"""The whole cluster in simulation: a sample of seeds, and the simulator's own promises."""

import pytest

from tests.sim.plan import draw
from tests.sim.run import run


@pytest.mark.parametrize("seed", range(30))
def test_no_promise_is_broken(seed: int) -> None:
    """Whatever the seed's faults do, every checker is satisfied."""
    report = run(draw(seed))
    assert not report.violations


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_decides_everything(seed: int) -> None:
    """The same seed gives the same trace, step for step."""
    assert run(draw(seed)).trace == run(draw(seed)).trace
