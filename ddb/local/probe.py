"""Short questions to a process over its port."""

import http.client
import socket

HTTP_OK = 200


def listens(host: str, port: int, timeout: float) -> bool:
    """Whether something takes connections there."""
    try:
        with socket.create_connection((host, port), timeout):
            return True
    except OSError:
        return False


def fetch(host: str, port: int, path: str, timeout: float) -> tuple[int, bytes] | None:
    """The status and body of a GET; None where no answer came."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
