"""Checks that the ports of a local cluster are free."""

import errno
import json
import os
import socket
import time

from ddb.local.layout import GATEWAY, Layout, LocalError
from ddb.local.probe import PROBE_TIMEOUT_S, fetch

_RETRY_S = 0.1
"""Too low: the checks load the machine. Too high: `ddb up` starts later than it could."""


def check_ports(layout: Layout, timeout_s: float) -> None:
    """Check every port of a cluster. Raises LocalError for a port that is not free.

    Args:
        timeout_s: seconds to retry. The processes of a killed supervisor need a moment to end.
    """
    deadline = time.monotonic() + timeout_s
    # The gateway's port is the one that the user chose, so its error comes first.
    for name in reversed(layout.names):
        while (error := port_error(layout, name)) and time.monotonic() < deadline:
            time.sleep(_RETRY_S)
        if error:
            raise LocalError(f"{error} {_occupant(layout, name)}".rstrip())


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


def _occupant(layout: Layout, name: str) -> str:
    """Return what answers on the port of a process, and why the cluster needs that port."""
    host, port = layout.address(name)
    last = layout.port + layout.nodes
    needs = "" if port == layout.port else f"`--port {layout.port}` takes {layout.port} to {last}. "
    answer = fetch(host, port, "/statusz", PROBE_TIMEOUT_S)
    if answer is None:
        return f"{needs}Nothing answers HTTP there."
    try:
        document = json.loads(answer[1])
    except ValueError:
        document = None
    match document:
        case {"verdict": str(verdict), "nodes": dict()}:
            return f'{needs}A gateway of ddb answers there: "{verdict}".'
    return f"{needs}An HTTP server that is not ddb answers there."


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
