"""Plans: requests that are written in advance, so that wrk only copies them.

A plan is a file of complete HTTP requests that `replay.lua` sends in turn. A request may have a
MARK where each copy needs its own serial number. The script replaces the mark by the next number,
in three groups of three digits. The file has a table of all groups, because etcd needs them in
base64.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

MARK = b"\x7f"
"""The place of the serial number; no request has this byte otherwise."""
GROUPS = 3
"""Groups of three digits in a serial number."""
PLAIN_DIGITS = tuple(f"{group:03}".encode() for group in range(1000))


class End(Enum):
    """The end of a run."""

    CYCLE = "cycle"
    """After the given time; the first request follows the last one."""
    STOP = "stop"
    """When the last request is sent; the measured time ends there."""
    FILL = "fill"
    """When every request has its answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request to any of the systems."""

    method: str
    path: bytes
    body: bytes | None = None

    def encode(self, host: str, serial_width: int) -> bytes:
        """Return the bytes of the request.

        Args:
            host: The address, such as "127.0.0.1:8080".
            serial_width: Bytes of the serial number that replaces a MARK; for Content-Length.
        """
        head = b"%s %s HTTP/1.1\r\nHost: %s\r\n" % (self.method.encode(), self.path, host.encode())
        if self.body is None:
            return head + b"\r\n"
        length = len(self.body) + self.body.count(MARK) * (serial_width - len(MARK))
        return (
            head
            + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length
            + self.body
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Calls in the order in which wrk sends them."""

    calls: tuple[Call, ...]
    end: End = End.CYCLE
    limit: int = 0
    """For STOP and FILL: the number of requests. The first call follows the last one."""
    first_serial: int = 0
    digits: tuple[bytes, ...] = PLAIN_DIGITS
    """The spelling of the numbers 0 to 999, all of one width."""
    filler: Call | None = None
    """A call without a mark that wrk may send after the end. None: the first call."""

    def write(self, path: Path, host: str) -> None:
        """Write the file for `replay.lua`.

        Args:
            path: The file.
            host: The address, such as "127.0.0.1:8080".
        """
        width = GROUPS * len(self.digits[0])
        lines = [
            self.end.value.encode(),
            b"%d %d %d" % (self.limit, self.first_serial, len(self.calls)),
            b" ".join(self.digits),
        ]
        filler = self.filler or self.calls[0]
        with path.open("wb") as file:
            file.write(b"\n".join(lines) + b"\n")
            for call in (filler, *self.calls):
                request = call.encode(host, width)
                file.write(b"%d\n%s\n" % (len(request), request))
