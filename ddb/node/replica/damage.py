"""Damage: key ranges whose copies this node cannot read, until they are rebuilt from its peers.

A read of one key returns the acceptor's state or fails. So a node keeps its vote on every key that
it can read. In a damaged range it has lost accepted states. There it answers `Failed`, which means
"no effect", and the other two nodes of each cell decide alone. The ranges are durable: a restart
must not mistake an emptied range for records that never existed.
"""

import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from ddb.node.storage.store import Family, Store, Unreadable
from ddb.record.codec import peek
from ddb.record.state import DamagedState
from ddb.ring.ring import END, PARTITION_BYTES, PARTITIONS, partition_in

log = logging.getLogger(__name__)

DAMAGE = b"damage"
"""The META key of the damaged ranges."""
Placement = Sequence[Family | None]
"""The family of this node's copies by partition; None where it is not in the cell."""
_LEAST = bytes(PARTITION_BYTES)
"""A key below every key of a record."""
COPIES = (Family.RECORDS, Family.HINTS)
"""The families whose rows are votes; only peers can restore them."""


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """The keys from `start` to before `stop`."""

    start: bytes
    stop: bytes

    def covers(self, key: bytes) -> bool:
        """Whether the range contains a key."""
        return self.start <= key < self.stop

    def partitions(self) -> range:
        """Return the partitions that have keys in the range."""
        first = partition_in(self.start) if len(self.start) >= PARTITION_BYTES else 0
        last = partition_in(self.stop) if self.stop < END else PARTITIONS
        # A stop of just two bytes is the start of a partition, and excludes all its keys.
        return range(first, min(PARTITIONS, last + (len(self.stop) > PARTITION_BYTES)))

    def within(self, start: bytes, stop: bytes) -> "Range | None":
        """Return the part from `start` to before `stop`, None where it is empty."""
        start, stop = max(start, self.start), min(stop, self.stop)
        return Range(start, stop) if start < stop else None


def joined(ranges: Sequence[Range], more: Range) -> list[Range]:
    """Return the union of `ranges` and `more`, sorted and disjoint. Pure."""
    apart = [each for each in ranges if each.stop < more.start or more.stop < each.start]
    touching = [each for each in ranges if not (each.stop < more.start or more.stop < each.start)]
    start = min(more.start, *(each.start for each in touching)) if touching else more.start
    stop = max(more.stop, *(each.stop for each in touching)) if touching else more.stop
    return sorted([*apart, Range(start, stop)])


def without(ranges: Sequence[Range], less: Range) -> list[Range]:
    """Return `ranges` minus `less`. Pure."""
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
        """Read the ranges that earlier processes found. Raises `Unreadable`."""
        self._store = store
        self._placement = placement
        stored = store.get(Family.META, DAMAGE)
        rows = msgspec.msgpack.decode(stored, type=list[tuple[str, bytes, bytes]]) if stored else ()
        self.ranges: dict[Family, list[Range]] = {}
        """Sorted and disjoint; a family without damage has no entry. Nearly always empty."""
        self.partitions: tuple[int, ...] = ()
        """The partitions where this node may lack copies, in order."""
        self.unwritten: set[Family] = set()
        """Families whose files may still contain unreadable blocks."""
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
        """Raise `Unreadable` where a key lies in a damaged range."""
        if self.covers(family, key):
            raise Unreadable(family, key, "its copy is damaged and not yet rebuilt")

    def next_gap(self, family: Family, start: bytes, stop: bytes) -> Range | None:
        """Return the first damaged range between `start` and `stop`, cut to them."""
        parts = (each.within(start, stop) for each in self.ranges.get(family, ()))
        return next((part for part in parts if part is not None), None)

    def note_unreadable(self, unreadable: Unreadable) -> None:
        """Note a failed read, and the unreadable range around its key.

        Raises:
            Unreadable: the damage is in META, which the node cannot do without.
        """
        family, key = unreadable.family, max(unreadable.key, _LEAST)
        if family is Family.META:
            raise unreadable
        self.unwritten.add(family)
        if not self.covers(family, key):
            start, stop = self._store.extent(family, key)
            # The range must contain the key itself, or `readable` would not get past it.
            start, stop = min(max(start, _LEAST), key), max(stop, key + b"\x00")
            self._note(family, Range(start, stop), str(unreadable))

    def note_undecodable(self, family: Family, key: bytes) -> None:
        """Note a row whose bytes are no state; it counts like an unreadable one."""
        self.unwritten.add(family)
        if not self.covers(family, key):
            self._note(family, Range(key, key + b"\x00"), "the state of a record is malformed")

    def readable(
        self, family: Family, start: bytes, stop: bytes, limit: int
    ) -> tuple[list[tuple[bytes, bytes]], list[Range]]:
        """Like `Store.scan`, but skip damaged ranges; return the rows and those ranges."""
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

    def states(
        self, family: Family, rows: Iterable[tuple[bytes, bytes]]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows whose bytes are a state, and note the others as damage."""
        for key, raw in rows:
            try:
                peek(raw)
            except DamagedState:
                self.note_undecodable(family, key)
            else:
                yield key, raw

    def without(self, family: Family, *healed: Range) -> bytes:
        """Return the durable form of this book without the ranges `healed`."""
        ranges = {**self.ranges, family: self._left(family, healed)}
        return _encode(ranges)

    def heal(self, family: Family, *healed: Range) -> None:
        """Remove rebuilt ranges; their rows and the result of `without` must be durable."""
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
            " No action is needed, but the disk may be failing: check it",
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
