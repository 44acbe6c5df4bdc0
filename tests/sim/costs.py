"""The cost of operations, counted as processes send requests."""

from collections import Counter
from collections.abc import Iterator

from ddb.ring.ring import Ring
from ddb.wire.messages import (
    Accept,
    CoordinateChange,
    CoordinateGet,
    Propose,
    ReadReplica,
    ReadVersion,
    Request,
)

MOST_ATTEMPTS = 120
"""Requests of a gateway for one change: about one per 2 ms of its budget.

Too low fails runs whose faults take many attempts; too high hides a loop without a pause.
"""

_KEYED = (CoordinateGet, ReadVersion, CoordinateChange, ReadReplica, Propose, Accept)


class Costs:
    """Watches all requests on the network."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._attempts: Counter[tuple[str, bytes, int]] = Counter()
        self.outside: list[str] = []
        self._beyond_homes: list[str] = []

    def saw(self, source: str, target: str, request: Request) -> None:
        """Count a request that a process sends."""
        if not isinstance(request, _KEYED):
            return
        cell = self._ring.cell(request.key)
        if target not in cell.homes:
            beyond = self._beyond_homes if target in cell.nodes else self.outside
            beyond.append(f"{source} asked {target}: {type(request).__name__} {request.key!r}")
        if isinstance(request, CoordinateChange):
            self._attempts[source, request.operation, request.low] += 1

    def complaints(self, *, fault_free: bool) -> Iterator[str]:
        """Yield each message to a wrong node and each change with too many requests.

        Args:
            fault_free: True complains about messages to standbys too. False allows them.
        """
        yield from self.outside
        if fault_free:
            yield from self._beyond_homes
        for (source, _, _), count in self._attempts.items():
            if count > MOST_ATTEMPTS:
                yield f"{source} asked {count} times for one change"
