"""Limits on the file descriptors of the test process."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def none_left() -> Iterator[None]:
    """Let this process open no further descriptor within the context."""
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    with at_most(lowest):
        yield


@contextmanager
def at_most(limit: int) -> Iterator[None]:
    """Lower this process's limit within the context."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
