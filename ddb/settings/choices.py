"""Settings with a fixed choice of values."""

from enum import Enum


class Fsync(Enum):
    """The moment from which a write counts as durable."""

    ALWAYS = "always"
    """Once the disk has it. An acknowledged write survives a power failure."""
    OS = "os"
    """Once the page cache has it. An acknowledged write survives a crash of the process only."""


class HttpLane(Enum):
    """The code that serves HTTP requests."""

    FAST = "fast"
    """The fast lane serves frequent requests. The Starlette application serves all others."""
    ASGI = "asgi"
    """The Starlette application serves all requests."""
