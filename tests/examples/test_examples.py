"""The examples run against a real cluster."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_walk_through_gets_every_status_it_expects(cluster_url: str) -> None:
    """The curl walk-through exits with 0 and deletes its user at the end."""
    done = run("sh", str(EXAMPLES / "walk_through.sh"), cluster_url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("404")


def test_walk_through_stops_at_an_unexpected_status(cluster_url: str) -> None:
    """The curl walk-through exits with 1 where an answer has another status."""
    done = run("sh", str(EXAMPLES / "walk_through.sh"), f"{cluster_url}/elsewhere")
    assert done.returncode == 1
    assert "expected 201" in done.stderr


def test_retrying_client_counts_each_step_once(cluster_url: str) -> None:
    """The Python client counts to fifty and finds its user deleted."""
    done = run(sys.executable, str(EXAMPLES / "retry.py"), cluster_url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("counted to 50, deleted")
