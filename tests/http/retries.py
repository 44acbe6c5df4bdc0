"""Counts the requests that tests repeat after a 503, and limits their share."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.http.answer import Answer

MAX_RETRIED_SHARE = 0.02
"""Share of a run's requests that may get a 503 and be repeated.

Lower: a busy machine fails the run. Higher: a cluster that often decides nothing passes.
"""
FREE_RETRIES = 20
"""Retries that any run may have. Lower: one stall fails a short run. Higher: the share is idle."""


class Undecided(Exception):
    """A busy system answered 503, so the test has no result.

    The 503 is correct. `tests/conftest.py` runs the test again.
    """


@dataclass(slots=True)
class Retries:
    """Requests so far, and those among them that got a 503 where a test needs a decision."""

    requests: int = 0
    undecided: int = 0

    def add(self, requests: int, undecided: int) -> None:
        """Count some requests, and those among them that got a 503."""
        self.requests += requests
        self.undecided += undecided

    def too_many(self) -> bool:
        """Whether the share of 503s is above the limit."""
        return self.undecided > FREE_RETRIES + MAX_RETRIED_SHARE * self.requests

    def __repr__(self) -> str:
        return f"<Retries {self.undecided} of {self.requests} requests>"


RETRIES = Retries()
"""The count of this process. With pytest-xdist, `tests/conftest.py` adds the workers' counts."""


def decided(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers unchanged. Raises `Undecided` if one of them is a 503."""
    undecided = [answer for answer in answers if answer.status == 503]
    RETRIES.add(len(answers), len(undecided))
    if undecided:
        raise Undecided(undecided[0].body)
    return list(answers)
