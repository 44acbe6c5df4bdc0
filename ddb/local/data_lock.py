"""The lock on a local cluster's data directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddb.local.layout import LocalError, is_layout, load

_LOCK_FILE = ".lock"
_PID_BYTES = 32


@contextmanager
def data_lock(data: Path) -> Iterator[None]:
    """Lock the data directory for one supervisor.

    Raises:
        LocalError: another supervisor has the lock, or the directory cannot be used.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LocalError(
            f"The data directory {data} cannot be used: {error.strerror}. No process has started,"
            " and no data is affected. Choose another directory with --data."
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, _PID_BYTES, 0).decode(errors="replace").strip() or "unknown"
            at = f" with its gateway at {load(data).url}" if is_layout(data) else ""
            raise LocalError(
                f"Another `ddb up` (pid {owner}) is running on {data}{at}. It continues, and no"
                " data is affected. Stop it first, or choose another directory with --data."
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)
