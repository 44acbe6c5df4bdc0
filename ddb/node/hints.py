"""Bookkeeping of hints: how many wait where, since when, and which of them one node alone holds.

A hint that a reachable home holds too is *kept* there: while its other home is away, that home
and this standby are the record's quorum, and the home's own tally is exact. COUNT rests on that,
so the keys not known to be kept are tracked one by one; there are few, since the handoff offers
them to whichever home is up.
"""

from ddb.record.version import NEVER, Dot


class HintBook:
    """What the standby of some partitions knows about its hints. Pure."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.since_ms: dict[int, int] = {}
        self._alone: dict[int, dict[bytes, Dot]] = {}
        self._keepers: dict[int, set[str]] = {}

    @property
    def total(self) -> int:
        """Hints of all partitions."""
        return sum(self.counts.values())

    @property
    def any_alone(self) -> bool:
        """Whether some key's newest state is held, as far as is known, by no home."""
        return bool(self._alone)

    def accepted(self, partition: int, key: bytes, newest: Dot, new: bool, began_ms: int) -> None:
        """A hint began (`new`) or changed; its newest state may be held here alone."""
        self._alone.setdefault(partition, {})[key] = newest
        if new:
            self.counts[partition] = self.counts.get(partition, 0) + 1
            since = self.since_ms.get(partition, began_ms)
            self.since_ms[partition] = min(since, began_ms)

    def kept(self, partition: int, key: bytes, home: str, newest: Dot) -> None:
        """`home` durably holds the key's state up to `newest`."""
        alone = self._alone.get(partition, {})
        if newest >= alone.get(key, NEVER):
            alone.pop(key, None)
            self._keepers.setdefault(partition, set()).add(home)
            if not alone:
                self._alone.pop(partition, None)

    def dropped(self, partition: int, key: bytes) -> None:
        """A hint was let go of."""
        alone = self._alone.get(partition, {})
        alone.pop(key, None)
        if not alone:
            self._alone.pop(partition, None)
        self.counts[partition] -= 1
        if not self.counts[partition]:
            del self.counts[partition], self.since_ms[partition]
            self._keepers.pop(partition, None)

    def alone(self, partition: int) -> list[bytes]:
        """The keys whose newest state no home is known to hold."""
        return list(self._alone.get(partition, ()))

    def keeper(self, partition: int) -> str:
        """The home that holds everything held here for the partition; empty where none does."""
        keepers = self._keepers.get(partition, set())
        return next(iter(keepers)) if partition not in self._alone and len(keepers) == 1 else ""

    def keepers(self) -> dict[int, str]:
        """`keeper` of every partition with hints."""
        return {partition: self.keeper(partition) for partition in self.counts}

    def __repr__(self) -> str:
        alone = sum(map(len, self._alone.values()))
        return f"<HintBook {self.total} hints in {len(self.counts)} partitions, {alone} alone>"
