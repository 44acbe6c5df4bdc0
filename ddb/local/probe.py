"""Short probes of a process over its port."""

import http.client
import socket

HTTP_OK = 200
PROBE_TIMEOUT_S = 1.0
"""Too low: a busy process counts as not ready. Too high: one frozen process delays each check."""
PROBE_PAUSE_S = 0.05
"""Too low: probes slow the starting processes. Too high: `ddb up` reports readiness late."""


def listens(host: str, port: int, timeout_s: float) -> bool:
    """Return whether a process accepts connections at the address."""
    try:
        with socket.create_connection((host, port), timeout_s):
            return True
    except OSError:
        return False


def fetch(host: str, port: int, path: str, timeout_s: float) -> tuple[int, bytes] | None:
    """Return the status and body of a GET, or None without an answer."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
