"""Damage: key ranges whose copies this node cannot read, until they are rebuilt from its peers.

A point read is exact: it returns the acceptor's state or fails. So a node keeps its vote on every
key that it can read. In a damaged range it has lost accepted states, and answers `Failed`: "nothing
was done". The other two nodes of each cell decide alone there. The ranges are durable, since a
restart must not take an emptied range for records that never existed.
"""

import logging
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ddb.node.storage.store import Family, Store, Unreadable
from ddb.ring.ring import END, PARTITION_BYTES, PARTITIONS, partition_in

log = logging.getLogger(__name__)

DAMAGE = b"damage"
Placement = Sequence[Family | None]
"""By partition: where this node keeps its copies, None where it is not in the cell."""
_LEAST = bytes(PARTITION_BYTES)
"""Below every key of a record."""
COPIES = (Family.RECORDS, Family.HINTS)
"""The families whose rows are votes, and come back from peers alone."""


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """The keys of one family from `start` to before `stop`."""

    start: bytes
    stop: bytes

    def covers(self, key: bytes) -> bool:
        """Whether a key lies inside."""
        return self.start <= key < self.stop

    def partitions(self) -> range:
        """The partitions that have keys inside."""
        first = partition_in(self.start) if len(self.start) >= PARTITION_BYTES else 0
        last = partition_in(self.stop) if self.stop < END else PARTITIONS
        # A stop of two bytes alone is the beginning of a partition, with no key before it.
        return range(first, min(PARTITIONS, last + (len(self.stop) > PARTITION_BYTES)))

    def within(self, start: bytes, stop: bytes) -> "Range | None":
        """The part from `start` to before `stop`, None where there is none."""
        start, stop = max(start, self.start), min(stop, self.stop)
        return Range(start, stop) if start < stop else None


def joined(ranges: Sequence[Range], more: Range) -> list[Range]:
    """Sorted disjoint ranges that cover `ranges` and `more`. Pure."""
    apart = [each for each in ranges if each.stop < more.start or more.stop < each.start]
    touching = [each for each in ranges if not (each.stop < more.start or more.stop < each.start)]
    start = min(more.start, *(each.start for each in touching)) if touching else more.start
    stop = max(more.stop, *(each.stop for each in touching)) if touching else more.stop
    return sorted([*apart, Range(start, stop)])


def without(ranges: Sequence[Range], less: Range) -> list[Range]:
    """What `ranges` cover and `less` does not. Pure."""
    left: list[Range] = []
    for each in ranges:
        if each.stop <= less.start or less.stop <= each.start:
            left.append(each)
            continue
        if each.start < less.start:
            left.append(Range(each.start, less.start))
        if less.stop < each.stop:
            left.append(Range(less.stop, each.stop))
    return left


class DamageBook:
    """The damaged ranges of one node, in memory and on its disk."""

    def __init__(self, store: Store, placement: Placement) -> None:
        """Read what an earlier process found. Raises `Unreadable`."""
        self._store = store
        self._placement = placement
        found = store.get(Family.META, DAMAGE)
        rows = msgspec.msgpack.decode(found, type=list[tuple[str, bytes, bytes]]) if found else ()
        self.ranges: dict[Family, list[Range]] = {}
        """Sorted and disjoint; a family without damage is missing. Empty nearly always."""
        self.partitions: tuple[int, ...] = ()
        """The partitions that this node does not vouch for, in order."""
        self.unwritten: set[Family] = set()
        """Families whose files still hold unreadable blocks, as far as is known."""
        self.found_ranges = 0
        """Ranges found since this process started."""
        for family, start, stop in rows:
            self.ranges[Family(family)] = joined(
                self.ranges.get(Family(family), ()), Range(start, stop)
            )
            self.unwritten.add(Family(family))
        self._touch()

    def covers(self, family: Family, key: bytes) -> bool:
        """Whether a key lies in a damaged range."""
        ranges = self.ranges.get(family)
        if not ranges:
            return False
        at = bisect_right(ranges, key, key=lambda each: each.start)
        return at > 0 and ranges[at - 1].covers(key)

    def check(self, family: Family, key: bytes) -> None:
        """Raises `Unreadable` inside a damaged range."""
        if self.covers(family, key):
            raise Unreadable(family, key, "its copy is damaged and not yet rebuilt")

    def next_gap(self, family: Family, start: bytes, stop: bytes) -> Range | None:
        """The first damaged range between `start` and `stop`, cut to them."""
        parts = (each.within(start, stop) for each in self.ranges.get(family, ()))
        return next((part for part in parts if part is not None), None)

    def note_unreadable(self, unreadable: Unreadable) -> None:
        """Note a read that failed, and how far the keys around it cannot be read."""
        family, key = unreadable.family, max(unreadable.key, _LEAST)
        if family is Family.META:
            raise unreadable
        self.unwritten.add(family)
        if not self.covers(family, key):
            start, stop = self._store.extent(family, key)
            # Whatever the store says, the key itself: who asks again must get past it.
            start, stop = min(max(start, _LEAST), key), max(stop, key + b"\x00")
            self._note(family, Range(start, stop), str(unreadable))

    def note_undecodable(self, family: Family, key: bytes) -> None:
        """Note a row whose bytes are no state; as lost as one that cannot be read."""
        self.unwritten.add(family)
        if not self.covers(family, key):
            self._note(family, Range(key, key + b"\x00"), "the state of a record is malformed")

    def readable(
        self, family: Family, start: bytes, stop: bytes, limit: int
    ) -> tuple[list[tuple[bytes, bytes]], list[Range]]:
        """Like `Store.scan`, outside of damaged ranges; also the ranges that were passed over."""
        rows: list[tuple[bytes, bytes]] = []
        gaps: list[Range] = []
        start = max(start, _LEAST)
        while True:
            gap = self.next_gap(family, start, stop)
            until = gap.start if gap else stop
            try:
                if start < until:
                    rows += self._store.scan(family, start, until, limit - len(rows))
            except Unreadable as unreadable:
                self.note_unreadable(unreadable)
                continue
            if gap is None or len(rows) >= limit:
                return rows, gaps
            gaps.append(gap)
            start = gap.stop

    def without(self, family: Family, *healed: Range) -> bytes:
        """The durable form of the book once some ranges are rebuilt."""
        ranges = {**self.ranges, family: self._left(family, healed)}
        return _encode(ranges)

    def heal(self, family: Family, *healed: Range) -> None:
        """Vouch for some ranges again; what they hold and `without` are durable."""
        left = self._left(family, healed)
        if left:
            self.ranges[family] = left
        else:
            self.ranges.pop(family, None)
        self._touch()

    def _left(self, family: Family, healed: Sequence[Range]) -> list[Range]:
        left = self.ranges.get(family, [])
        for each in healed:
            left = without(left, each)
        return left

    def _note(self, family: Family, damaged: Range, reason: str) -> None:
        self.ranges[family] = joined(self.ranges.get(family, ()), damaged)
        self.found_ranges += 1
        self._touch()
        touched = sum(self._placement[number] is family for number in damaged.partitions())
        log.error(
            "damaged data in %s: %s. The keys from %r to before %r in %d partitions are affected."
            " The other nodes serve them, and this node rebuilds its copies from there."
            " Nothing needs to be done, but the disk may be failing",
            family.value,
            reason,
            damaged.start,
            damaged.stop,
            touched if family in COPIES else 0,
        )
        self._store.commit([(Family.META, DAMAGE, _encode(self.ranges))])

    def _touch(self) -> None:
        self.partitions = tuple(
            sorted(
                {
                    number
                    for family in COPIES
                    for each in self.ranges.get(family, ())
                    for number in each.partitions()
                    if self._placement[number] is family
                }
            )
        )

    def __repr__(self) -> str:
        count = sum(map(len, self.ranges.values()))
        return f"<DamageBook {count} ranges, {len(self.partitions)} partitions>"


def _encode(ranges: dict[Family, list[Range]]) -> bytes:
    rows = [
        (family.value, each.start, each.stop) for family, many in ranges.items() for each in many
    ]
    return msgspec.msgpack.encode(rows)
