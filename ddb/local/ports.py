"""Checks that the ports of a local cluster are free."""

import errno
import os
import socket
import time

from ddb.local.layout import GATEWAY, Layout, LocalError

_RETRY_S = 0.1
"""Too low: the checks load the machine. Too high: `ddb up` starts later than it could."""


def check_ports(layout: Layout, timeout_s: float) -> None:
    """Check every port of a cluster. Raises LocalError for a port that is not free.

    Args:
        timeout_s: seconds to retry. The processes of a killed supervisor need a moment to end.
    """
    deadline = time.monotonic() + timeout_s
    for name in layout.names:
        while (error := port_error(layout, name)) and time.monotonic() < deadline:
            time.sleep(_RETRY_S)
        if error:
            raise LocalError(error)


def port_error(layout: Layout, name: str) -> str:
    """Return why a process cannot listen on its port, or "" if it can."""
    host, port = layout.address(name)
    if name == GATEWAY:
        host = layout.host
    number = _errno_of_listening(host, port)
    if number == errno.EADDRINUSE:
        return (
            f"Port {port} on {host}, for {name}, is taken by another process. {name} has not"
            " started, and no data is affected. Stop that process, or choose other ports with"
            " --port."
        )
    if number:
        return (
            f"{name} cannot listen on {host}:{port}: {os.strerror(number)}. {name} has not"
            " started, and no data is affected. Choose other ports with --port, or another"
            " address with --host."
        )
    return ""


def _errno_of_listening(host: str, port: int) -> int:
    """Return the error number of listening at an address, or 0 if it works."""
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
