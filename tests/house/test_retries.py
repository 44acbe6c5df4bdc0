"""The limit of requests that tests repeat after a 503."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import environment
from tests.http.retries import FREE_RETRIES, MAX_RETRIED_SHARE, Retries

TWO_TESTS = """
from tests.http.retries import RETRIES

def test_one():
    RETRIES.add(100, 15)

def test_other():
    RETRIES.add(100, {last})
"""


@pytest.mark.parametrize("requests", [1, 1000, 100_000])
def test_a_share_of_the_requests_may_be_repeated(requests: int) -> None:
    """A run may repeat a few requests, and a share of many; one more is too many."""
    most = int(FREE_RETRIES + MAX_RETRIED_SHARE * requests)
    assert not Retries(requests, most).too_many()
    assert Retries(requests, most + 1).too_many()


@pytest.mark.parametrize(("last", "code"), [(9, 0), (10, 1)])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_with_too_many_retries_fails(
    tmp_path: Path, last: int, code: int, workers: str
) -> None:
    """A run fails although each of its tests succeeds; the counts of all workers add up."""
    (tmp_path / "test_two.py").write_text(TWO_TESTS.format(last=last))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-n", workers, "test_two.py"],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert f"{15 + last} of 200 requests" in done.stdout
    assert done.returncode == code
