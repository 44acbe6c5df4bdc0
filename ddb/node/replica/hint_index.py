"""Hint index: how many hints wait in each partition, for how long, and which homes have them.

While one home of a partition is unreachable, the other home and this standby are the quorum of its
records. A *keeper* is a home that stores every hint of the partition. A keeper's digest is exact,
and COUNT relies on it.

The index lists each key whose newest state no keeper is confirmed to have: the key is *alone*. Such
keys are few, since handoff offers them to each reachable home. A home that was unreachable itself
has missed more than those. It becomes a keeper by one pass over all hints of the partition.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import cache

from ddb.record.version import Dot
from ddb.ring.ring import partition_in


class HintIndex:
    """The hints of one standby, by partition. Pure."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        """Hints of each partition that has any."""
        self.since_ms: dict[int, int] = {}
        """When each partition's oldest hint began, in milliseconds of wall-clock time."""
        self.drops = 0
        """Rises with each hint dropped or lost: while it is equal, no hint has gone."""
        self._alone: dict[int, dict[bytes, Dot]] = {}
        # A partition without an entry has no keepers yet: its hints are all alone.
        self._keepers: dict[int, frozenset[str]] = {}
        self._passes: dict[int, str] = {}

    @property
    def total(self) -> int:
        """Hints of all partitions."""
        return sum(self.counts.values())

    @property
    def any_alone(self) -> bool:
        """Whether some key is alone."""
        return bool(self._alone)

    def accepted(self, partition: int, key: bytes, newest: Dot, new: bool, began_ms: int) -> None:
        """Note that the store took a hint; its key is alone until a keeper confirms it.

        Args:
            new: True where the key had no hint before, False where the hint changed.
            began_ms: the time of the state, in milliseconds.
        """
        self._alone.setdefault(partition, {})[key] = newest
        if new:
            self.counts[partition] = self.counts.get(partition, 0) + 1
            since = self.since_ms.get(partition, began_ms)
            self.since_ms[partition] = min(since, began_ms)

    def kept(self, partition: int, key: bytes, offered: Dot, marks: Mapping[str, Dot]) -> None:
        """Note the homes' replies to an offer of a key's state.

        Args:
            offered: the newest dot of the state that the homes received.
            marks: per home the newest dot that it has durably.
        """
        catching_up = self._passes.get(partition)
        if catching_up is not None and marks.get(catching_up, offered) < offered:
            self._passes.pop(partition)
        alone = self._alone.get(partition, {})
        newest = alone.get(key)
        if newest is None:
            return
        holding = frozenset(home for home, dot in marks.items() if dot >= newest)
        keepers = self._keepers.get(partition, holding) & holding
        if not keepers:
            return
        self._keepers[partition] = keepers
        self._remove_alone(partition, key)
        if catching_up not in holding:
            # The pass may have offered this key before it changed, or before it existed.
            self._passes.pop(partition, None)

    def missed(self, partition: int, home: str) -> bool:
        """Whether `home` may lack hints of the partition other than those alone."""
        return home not in self._keepers.get(partition, (home,))

    def begin_pass(self, partition: int, home: str) -> None:
        """Note that the handoff starts to offer `home` every hint of the partition."""
        self._passes[partition] = home

    def end_pass(self, partition: int, home: str) -> None:
        """Note the end of a pass, once `kept` has received the replies to all its offers."""
        if self._passes.pop(partition, None) == home and partition in self._keepers:
            self._keepers[partition] |= {home}

    def dropped(self, partition: int, key: bytes) -> None:
        """Note that the standby dropped a hint."""
        self.drops += 1
        self._remove_alone(partition, key)
        self.counts[partition] -= 1
        if not self.counts[partition]:
            del self.counts[partition], self.since_ms[partition]
            self._keepers.pop(partition, None)
            self._passes.pop(partition, None)

    def forget(self, partition: int) -> None:
        """Remove a damaged partition; the caller calls `accepted` for each of its hints again."""
        self.drops += 1
        self.counts.pop(partition, None)
        self.since_ms.pop(partition, None)
        self._alone.pop(partition, None)
        self._keepers.pop(partition, None)
        self._passes.pop(partition, None)

    def alone(self, partition: int) -> list[bytes]:
        """Return the keys whose newest state no keeper is confirmed to have."""
        return list(self._alone.get(partition, ()))

    def is_alone(self, key: bytes, newest: Dot) -> bool:
        """Return whether the key is alone with this newest dot."""
        return self._alone.get(partition_in(key), {}).get(key) == newest

    def newly_alone(self, homes: Collection[str]) -> Iterator[tuple[bytes, Dot]]:
        """Yield the alone keys, with their newest dots, of each partition with a keeper in `homes`.

        Without these keys the partition's keeper would be exact.
        """
        for partition, alone in self._alone.items():
            if not self._keepers.get(partition, frozenset()).isdisjoint(homes):
                yield from alone.items()

    def keepers(self) -> dict[int, tuple[str, ...]]:
        """Return the keepers, sorted by name, of every partition with hints.

        A partition with a key that is alone has none.
        """
        return {
            partition: ()
            if partition in self._alone
            else _by_name(self._keepers.get(partition, frozenset()))
            for partition in self.counts
        }

    def _remove_alone(self, partition: int, key: bytes) -> None:
        alone = self._alone.get(partition, {})
        alone.pop(key, None)
        if not alone:
            self._alone.pop(partition, None)

    def __repr__(self) -> str:
        alone = sum(map(len, self._alone.values()))
        return f"<HintIndex {self.total} hints in {len(self.counts)} partitions, {alone} alone>"


@cache
def _by_name(homes: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(homes))
