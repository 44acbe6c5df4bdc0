"""The order in which a standby offers its hints to their homes.

Until a keeper confirms a hint that is alone, COUNT reads the whole partition. A pass over all hints
takes seconds while clients ask. So a hint that becomes alone during a pass does not wait for its
end. `ddb.node.replica.hint_index` defines keepers and alone hints.
"""

from collections.abc import Container, Iterable, Iterator
from itertools import chain

from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.partition_digests import partition_rows
from ddb.node.storage.store import Family
from ddb.record.codec import peek
from ddb.record.version import Dot
from ddb.ring.ring import partition_in

ALONE_CHECK_HINTS = 16
"""Hints of a pass between two checks for hints that are alone. Too low: the checks cost CPU. Too
high: COUNT reads their partitions for longer."""

Hint = tuple[bytes, bytes]
"""A key and its encoded state."""


class HintOrder:
    """Reads the hints of one node for its handoff."""

    def __init__(self, replica: Acceptor) -> None:
        self._replica = replica

    def alone(self, partitions: Iterable[int]) -> Iterator[Hint]:
        """Yield the hints of `partitions` whose newest state no home is sure to store."""
        return self._readable(chain.from_iterable(map(self._replica.hints.alone, partitions)))

    def alone_first(
        self, homes: tuple[str, ...], partitions: Iterable[int], watched: Container[int]
    ) -> Iterator[Hint]:
        """Yield the hints of `partitions`, and soon those that become alone meanwhile.

        Args:
            homes: the homes that receive the hints.
            watched: the partitions whose hints may become alone meanwhile.
        """
        hints = self._replica.hints
        # The keys that were offered and are still alone, with their newest dots.
        offered: dict[bytes, Dot] = {}
        for place, (key, raw) in enumerate(chain.from_iterable(map(self._hints_of, partitions))):
            if place % ALONE_CHECK_HINTS == 0:
                offered = {key: dot for key, dot in offered.items() if hints.is_alone(key, dot)}
                alone = {
                    key: dot
                    for key, dot in hints.newly_alone(homes)
                    if partition_in(key) in watched and offered.get(key) != dot
                }
                offered |= alone
                yield from self._readable(alone)
            newest = peek(raw)
            if offered.get(key) != newest:
                offered[key] = newest
                yield key, raw

    def _hints_of(self, number: int) -> Iterator[Hint]:
        damage = self._replica.copies.damage
        return damage.states(Family.HINTS, partition_rows(damage, Family.HINTS, number))

    def _readable(self, keys: Iterable[bytes]) -> Iterator[Hint]:
        for key in keys:
            raw = self._replica.copies.readable(key)
            if raw:
                yield key, raw

    def __repr__(self) -> str:
        return f"<HintOrder of {self._replica.hints!r}>"
