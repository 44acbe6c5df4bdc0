"""Bookkeeping of hints: how many wait where, since when, and which homes hold them too.

While one home of a partition is away, the other and this standby are the quorum of its records. A
home that holds whatever the standby holds is a *keeper*: its own tally is exact, and COUNT rests on
that. So the keys that keepers are not known to hold are tracked one by one, as *alone*; there are
few, since the handoff offers them to whichever home is up. A home that missed more than those, for
it was away itself, becomes a keeper by one pass over all of the partition's hints.
"""

from collections.abc import Mapping

from ddb.record.version import Dot


class HintIndex:
    """What the standby of some partitions knows about its hints. Pure."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.since_ms: dict[int, int] = {}
        self.let_go = 0
        """How many hints have been let go of."""
        self._alone: dict[int, dict[bytes, Dot]] = {}
        # Of a partition whose hints are all alone, every home holds the others.
        self._keepers: dict[int, frozenset[str]] = {}
        self._passes: dict[int, str] = {}

    @property
    def total(self) -> int:
        """Hints of all partitions."""
        return sum(self.counts.values())

    @property
    def any_alone(self) -> bool:
        """Whether some key's newest state is held, as far as is known, by no keeper."""
        return bool(self._alone)

    def accepted(self, partition: int, key: bytes, newest: Dot, new: bool, began_ms: int) -> None:
        """A hint began (`new`) or changed; its newest state may be held here alone."""
        self._alone.setdefault(partition, {})[key] = newest
        if new:
            self.counts[partition] = self.counts.get(partition, 0) + 1
            since = self.since_ms.get(partition, began_ms)
            self.since_ms[partition] = min(since, began_ms)

    def kept(self, partition: int, key: bytes, offered: Dot, held: Mapping[str, Dot]) -> None:
        """Homes were offered the state `offered`, and durably hold the key's state up to `held`."""
        catching_up = self._passes.get(partition)
        if catching_up is not None and held.get(catching_up, offered) < offered:
            self._passes.pop(partition)
        alone = self._alone.get(partition, {})
        newest = alone.get(key)
        if newest is None:
            return
        holding = frozenset(home for home, dot in held.items() if dot >= newest)
        keepers = self._keepers.get(partition, holding) & holding
        if not keepers:
            return
        self._keepers[partition] = keepers
        self._released(partition, key)
        if catching_up not in holding:
            # It may have passed this key by, in an older state or none.
            self._passes.pop(partition, None)

    def missed(self, partition: int, home: str) -> bool:
        """Whether `home` may lack hints of a partition beside those that are alone."""
        return home not in self._keepers.get(partition, (home,))

    def begin_pass(self, partition: int, home: str) -> None:
        """From now on `home` is offered every hint of a partition, one by one."""
        self._passes[partition] = home

    def end_pass(self, partition: int, home: str) -> None:
        """Every hint was offered, and what became of each was told to `kept`."""
        if self._passes.pop(partition, None) == home and partition in self._keepers:
            self._keepers[partition] |= {home}

    def dropped(self, partition: int, key: bytes) -> None:
        """A hint was let go of."""
        self.let_go += 1
        self._released(partition, key)
        self.counts[partition] -= 1
        if not self.counts[partition]:
            del self.counts[partition], self.since_ms[partition]
            self._keepers.pop(partition, None)
            self._passes.pop(partition, None)

    def forget(self, partition: int) -> None:
        """Damage took hints of a partition; those that are left or come back are `accepted`."""
        self.let_go += 1
        self.counts.pop(partition, None)
        self.since_ms.pop(partition, None)
        self._alone.pop(partition, None)
        self._keepers.pop(partition, None)
        self._passes.pop(partition, None)

    def alone(self, partition: int) -> list[bytes]:
        """The keys whose newest state no keeper is known to hold."""
        return list(self._alone.get(partition, ()))

    def keepers(self) -> dict[int, tuple[str, ...]]:
        """Of every partition with hints the homes that hold each of them; none while any is alone.

        In the order of their names.
        """
        return {
            partition: ()
            if partition in self._alone
            else tuple(sorted(self._keepers.get(partition, ())))
            for partition in self.counts
        }

    def _released(self, partition: int, key: bytes) -> None:
        alone = self._alone.get(partition, {})
        alone.pop(key, None)
        if not alone:
            self._alone.pop(partition, None)

    def __repr__(self) -> str:
        alone = sum(map(len, self._alone.values()))
        return f"<HintBook {self.total} hints in {len(self.counts)} partitions, {alone} alone>"
