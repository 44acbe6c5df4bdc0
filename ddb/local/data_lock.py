"""The lock on a local cluster's data directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddb.local.layout import LocalError

_LOCK = ".lock"


@contextmanager
def claimed(data: Path) -> Iterator[None]:
    """Hold the directory, so that one supervisor at a time works on it. Raises LocalError."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LocalError(
            f"The data directory {data} cannot be used: {error.strerror}."
            " Choose another with --data."
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
            raise LocalError(
                f"A `ddb up` (pid {holder}) is running on {data} already."
                " Stop it first, or choose another directory with --data."
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)
