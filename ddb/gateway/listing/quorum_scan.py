"""Sight: what looks at a stretch of the key space, one after the other, show of its records.

Every record is decided by two of its cell's three nodes, so of any two that answer at least one
has its newest state. Pure: `ddb.gateway.listing.range_read` does the looking.
"""

from collections.abc import Mapping, Sequence

import msgspec

from ddb.gateway.listing.scatter_gather import Cells
from ddb.record.codec import NEWEST, is_live
from ddb.ring.ring import Cell
from ddb.wire.messages import ScanPage


class Row(msgspec.Struct, frozen=True, gc=False):
    """A settled record; `body` is None for a tombstone."""

    key: bytes
    body: bytes | None


class Seen(msgspec.Struct, gc=False):
    """The newest state of a record that was seen."""

    head: bytes
    body: bytes
    """Empty where whoever was to tell it holds an older state."""
    holder: str
    twice: bool
    """Whether another node holds it, too."""
    known: bool
    """Whether a node said in the first look that this state is decided."""

    def settled(self, proven: bool) -> bool:
        """Whether it is told and decided; whether what is known so is `proven`, too."""
        decided = self.twice or (proven and self.known)
        return decided and (bool(self.body) or not is_live(self.head))


class QuorumScan:
    """The looks so far at a stretch that lies in some cells."""

    def __init__(self, cells: Cells, cell_of: Sequence[Cell]) -> None:
        """`cell_of`: the cell of each partition, for those of which a node lacks rows."""
        self._cells = cells
        self._cell_of = cell_of
        self._damaged: set[int] = set()
        self._looks: list[Mapping[str, ScanPage]] = []
        self._seen: dict[bytes, Seen] = {}
        self.end: bytes | None = None
        """The last key of which every look tells all; None where that is so of the stretch."""

    def add(self, look: Mapping[str, ScanPage]) -> None:
        """What the nodes answered that were asked at one time, after all earlier answers."""
        first = not self._looks
        self._looks.append(look)
        seen = self._seen
        for name, said in look.items():
            self._damaged.update(said.damaged)
            if said.more and (self.end is None or said.keys[-1] < self.end):
                self.end = said.keys[-1]
            rows = zip(said.keys, said.heads, said.bodies, said.decided, strict=True)
            for key, head, body, decided in rows:
                found = seen.get(key)
                if found is None or found.head[NEWEST] < head[NEWEST]:
                    seen[key] = Seen(head, body, name, False, bool(first and decided))
                elif found.head == head:
                    found.twice = found.twice or found.holder != name
                    found.body = found.body or body
                    found.known = found.known or bool(first and decided)

    def complete(self, since: int = 0) -> bool:
        """Whether no state decided before the look numbered `since`, from 0, can be missing.

        Of two homes at least one holds whatever was decided before, and keeps it. A standby does
        not: where it stands in for a home it must have answered before the other home is asked,
        or it could give home and let go between the two. What it let go of earlier is at the
        home, so an answer to the look just before will do if it has let go of nothing since.

        A node that lacks rows of a partition has not answered, as far as that one is concerned.
        """
        kept = self._kept(since)
        return all(self._covers(cell, None, kept, since) for cell in self._cells) and all(
            self._covers(self._cell_of[number].nodes, number, kept, since)
            for number in self._damaged
        )

    def _covers(
        self, cell: tuple[str, str, str], number: int | None, kept: frozenset[str], since: int
    ) -> bool:
        """As `complete`, of one cell, or of one partition of it of which some node lacks rows."""
        home, partner, standby = cell
        names: set[str] = set()
        looked = standby in kept and (
            number is None or number not in self._looks[since - 1][standby].damaged
        )
        for look in self._looks[since:]:
            here = [
                name
                for name in cell
                if name in look and (number is None or number not in look[name].damaged)
            ]
            names.update(here)
            if home in names and partner in names:
                return True
            if looked and (home in here or partner in here):
                return True
            looked = looked or standby in names
        return False

    def _kept(self, since: int) -> frozenset[str]:
        """Who has let go of nothing between the look before `since` and that one."""
        if not 0 < since < len(self._looks):
            return frozenset()
        earlier, later = self._looks[since - 1 : since + 1]
        return frozenset(
            name
            for name, said in later.items()
            if name in earlier and said.hint_stamp == earlier[name].hint_stamp
        )

    def incomplete(self) -> frozenset[str]:
        """The nodes that lack rows, so that others are asked for the bodies."""
        return frozenset(name for look in self._looks for name in look if look[name].damaged)

    def hopeful(self) -> bool:
        """Whether it would settle further records if a complete sight followed the first look."""
        return any(
            seen.settled(True) and not seen.settled(False)
            for key, seen in self._seen.items()
            if self._reaches(key)
        )

    def records(self) -> tuple[list[Row], list[bytes]]:
        """The records up to `end` that are settled, in order, and the keys of all others.

        Settled is what two nodes hold, or what one of them knows to be decided. As it may take a
        state for that which was overtaken by one of the cell's two others, its word counts only
        where they were seen after it.
        """
        proven = self.complete(since=1)
        rows: list[Row] = []
        unsettled: list[bytes] = []
        for key in sorted(filter(self._reaches, self._seen)):
            seen = self._seen[key]
            if seen.settled(proven):
                rows.append(Row(key, seen.body if is_live(seen.head) else None))
            else:
                unsettled.append(key)
        return rows, unsettled

    def _reaches(self, key: bytes) -> bool:
        return self.end is None or key <= self.end

    def __repr__(self) -> str:
        return f"<Sight {len(self._seen)} records in {len(self._looks)} looks>"
