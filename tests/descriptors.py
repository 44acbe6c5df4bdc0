"""A test process that has no file descriptor left, or few."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def none_left() -> Iterator[None]:
    """Refuse every further descriptor to this process."""
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    with at_most(lowest):
        yield


@contextmanager
def at_most(limit: int) -> Iterator[None]:
    """Lower this process's limit for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
