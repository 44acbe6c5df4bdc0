"""What the load generator is to send, written out beforehand so that sending costs it nothing.

A plan is a file of complete HTTP requests that `replay.lua` sends in turn. Where each request must
be about a record of its own, a request holds MARK, and the script puts the next serial number
there: three groups of three digits, spelled by a table in the file, since one of the peers wants
its keys in base64.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

MARK = b"\x7f"
GROUPS = 3
PLAIN_DIGITS = tuple(f"{group:03}".encode() for group in range(1000))


class End(Enum):
    """What follows the last request of a plan."""

    CYCLE = "cycle"
    """The first one again, until the time is up."""
    STOP = "stop"
    """Nothing: the run ends there, and so does the time that is counted."""
    FILL = "fill"
    """Nothing: the run ends when every answer has come."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, of whatever system."""

    method: str
    path: bytes
    body: bytes | None = None

    def wire(self, host: str, serial_width: int) -> bytes:
        """The request as it goes over the connection, to `host` ("127.0.0.1:8080").

        A MARK in the body counts `serial_width` bytes.
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
    """Calls in the order in which they are sent."""

    calls: tuple[Call, ...]
    end: End = End.CYCLE
    limit: int = 0
    """For STOP and FILL: how many requests are sent, going round the calls if there are fewer."""
    first_serial: int = 0
    digits: tuple[bytes, ...] = PLAIN_DIGITS
    """How the numbers 0 to 999 are spelled; all the same width."""
    filler: Call | None = None
    """What may be sent once a plan has stopped, without a mark; else the first call."""

    def write(self, path: Path, host: str) -> None:
        """Write the file for `replay.lua`."""
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
                wire = call.wire(host, width)
                file.write(b"%d\n%s\n" % (len(wire), wire))
