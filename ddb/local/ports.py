"""Whether the ports of a local cluster are free."""

import errno
import os
import socket
import time

from ddb.local.layout import GATEWAY, Layout, LocalError


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
