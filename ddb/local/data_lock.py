"""Taking hold of a local cluster's directory and ports before anything is started."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddb.local.layout import GATEWAY, Layout, LocalError

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


def check_ports(layout: Layout, patience: float) -> None:
    """Raise LocalError naming a port that cannot be had.

    `patience` is for how long to try again: the processes of a supervisor that was itself killed
    take a moment to notice.
    """
    deadline = time.monotonic() + patience
    for name in layout.names:
        while (complaint := port_complaint(layout, name)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if complaint:
            raise LocalError(complaint)


def port_complaint(layout: Layout, name: str) -> str:
    """Why a process cannot listen where it is to; empty where it can."""
    host, port = layout.address(name)
    if name == GATEWAY:
        host = layout.host
    trouble = _trouble(host, port)
    if trouble == errno.EADDRINUSE:
        return (
            f"Port {port} on {host}, for {name}, is taken by another process."
            " Stop that one, or run this cluster on other ports with --port."
        )
    if trouble:
        return (
            f"{name} cannot listen on {host}:{port}: {os.strerror(trouble)}."
            " Run this cluster on other ports with --port, or another address with --host."
        )
    return ""


def _trouble(host: str, port: int) -> int:
    """The error number of listening there; 0: none."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0
