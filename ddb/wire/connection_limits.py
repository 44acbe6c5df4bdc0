"""The accepted connections that a node keeps.

Each kind of caller has a share, and silence ends a connection.

A *stranger* has not sent a Hello yet; a *member* is another node; every other introduced caller is
a gateway. Strangers displace only strangers, and gateways only gateways. A caller without a Hello
therefore cannot take the place of a caller with one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ddb.runtime.descriptors import MEMBER_CONNECTIONS, STRANGER_CONNECTIONS

STRANGER_TIMEOUT_S = 2.0
"""Seconds until a Hello must arrive. A link sends it at once.

Too low: a caller on a slow machine never connects. Too high: silent strangers fill their share.
"""
IDLE_TIMEOUT_S = 30.0
"""Seconds without a byte after which a caller counts as gone. Links ping every 0.1 s.

Too low: a paused caller loses its connection without need. Too high: dead callers take descriptors.
"""
SILENT_S = 2.0
"""Seconds without a byte after which a gateway at the limit gives way to a new one.

Too low: a busy gateway loses its connection to a restarted one. Too high: dead gateways keep new
ones from connecting. A link replaces its connection after 1 s of silence.
"""
_MANY = 1 << 16


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The most connections of strangers and of gateways; `members` are the names of other nodes."""

    strangers: int = STRANGER_CONNECTIONS
    gateways: int = _MANY
    members: frozenset[str] = frozenset()


class Tracked(Protocol):
    """A connection; `active_at` is when its last bytes arrived."""

    active_at: float


C = TypeVar("C", bound=Tracked)


class Connections(Generic[C]):
    """The open connections by kind. Methods return the connections that the listener must close."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        # Dictionaries in place of sets: the oldest comes first.
        self._strangers: dict[C, float] = {}
        self._gateways: dict[C, None] = {}
        self._members: dict[C, str] = {}

    def opened(self, connection: C, now: float) -> C | None:
        """Add a stranger; return the oldest stranger if there are too many."""
        self._strangers[connection] = now
        if len(self._strangers) <= self._limits.strangers:
            return None
        oldest = next(iter(self._strangers))
        del self._strangers[oldest]
        return oldest

    def introduced(self, connection: C, caller: str, now: float) -> C | None:
        """Count a stranger as `caller`; return the connection to close, perhaps this one."""
        if self._strangers.pop(connection, None) is None:
            return None
        if caller in self._limits.members:
            return self._take_member(connection, caller)
        surplus = None
        if len(self._gateways) >= self._limits.gateways:
            surplus = min(self._gateways, key=_active_at)
            if now - surplus.active_at < SILENT_S:
                return connection
            del self._gateways[surplus]
        self._gateways[connection] = None
        return surplus

    def closed(self, connection: C) -> None:
        """Remove a connection."""
        self._strangers.pop(connection, None)
        self._gateways.pop(connection, None)
        self._members.pop(connection, None)

    def overdue(self, now: float) -> Iterator[tuple[C, str]]:
        """Yield the connections that have been silent for too long, each with the reason."""
        for stranger, opened_at in self._strangers.items():
            if now - opened_at >= STRANGER_TIMEOUT_S:
                yield stranger, f"no Hello within {STRANGER_TIMEOUT_S:.0f} s"
        for connection in (*self._gateways, *self._members):
            if now - connection.active_at >= IDLE_TIMEOUT_S:
                yield connection, f"no byte for {IDLE_TIMEOUT_S:.0f} s"

    def forgive(self, seconds: float) -> None:
        """Subtract a time in which this process did not run from every silence."""
        for stranger in self._strangers:
            self._strangers[stranger] += seconds
        for connection in (*self._gateways, *self._members):
            connection.active_at += seconds

    def _take_member(self, connection: C, name: str) -> C | None:
        self._members[connection] = name
        same = [each for each, owner in self._members.items() if owner == name]
        if len(same) <= MEMBER_CONNECTIONS:
            return None
        same.remove(connection)
        surplus = min(same, key=_active_at)
        del self._members[surplus]
        return surplus

    def __repr__(self) -> str:
        return (
            f"<Connections {len(self._strangers)} strangers, {len(self._gateways)} gateways,"
            f" {len(self._members)} of members>"
        )


def _active_at(connection: Tracked) -> float:
    return connection.active_at
