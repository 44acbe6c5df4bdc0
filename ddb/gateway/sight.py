"""Sight: what looks at a stretch of the key space, one after the other, show of its records.

Every record is decided by two of its cell's three nodes, so of any two that answer at least one
has its newest state. Pure: `ddb.gateway.walk` does the looking.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ddb.gateway.poll import Cells
from ddb.record.version import Dot
from ddb.ring.ring import CELL
from ddb.wire.messages import Rows


@dataclass(frozen=True, slots=True)
class Row:
    """A settled record; `body` is None for a tombstone."""

    key: bytes
    body: bytes | None


@dataclass(slots=True)
class Seen:
    """The newest state of a record that was seen."""

    newest: Dot
    live: bool
    body: bytes
    """Empty where whoever was to tell it holds an older state."""
    holders: set[str]
    known: bool
    """Whether a node said in the first look that this state is decided."""

    def settled(self, proven: bool) -> bool:
        """Whether it is told and decided; whether what is known so is `proven`, too."""
        told = bool(self.body) or not self.live
        return told and (len(self.holders) >= CELL - 1 or (proven and self.known))


class Sight:
    """The looks so far at a stretch that lies in some cells."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._looks: list[Mapping[str, Rows]] = []
        self._seen: dict[bytes, Seen] = {}
        self.end: bytes | None = None
        """The last key of which every look tells all; None where that is so of the stretch."""

    def add(self, look: Mapping[str, Rows]) -> None:
        """What the nodes answered that were asked at one time, after all earlier answers."""
        first = not self._looks
        self._looks.append(look)
        seen = self._seen
        for name, said in look.items():
            if said.more and (self.end is None or said.rows[-1][0] < self.end):
                self.end = said.rows[-1][0]
            for key, dot, live, body, decided in said.rows:
                found = seen.get(key)
                if found is None or found.newest < dot:
                    seen[key] = Seen(dot, live, body, {name}, first and decided)
                elif found.newest == dot:
                    found.holders.add(name)
                    found.body = found.body or body
                    found.known = found.known or (first and decided)

    def complete(self, since: int = 0) -> bool:
        """Whether no state decided before the look numbered `since`, from 0, can be missing.

        Of two homes at least one holds whatever was decided before, and keeps it. A standby does
        not: where it stands in for a home it must have answered before the other home is asked,
        or it could give home and let go between the two. What it let go of earlier is at the
        home, so an answer to the look just before will do if it has let go of nothing since.
        """
        missing: Collection[tuple[str, str, str]] = self._cells
        before, names = self._kept(since), frozenset[str]()
        for look in self._looks[since:]:
            names |= look.keys()
            missing = [
                (home, partner, standby)
                for home, partner, standby in missing
                if not (home in names and partner in names)
                and not (standby in before and (home in look or partner in look))
            ]
            before |= names
        return not missing

    def _kept(self, since: int) -> frozenset[str]:
        """Who has let go of nothing between the look before `since` and that one."""
        if not 0 < since < len(self._looks):
            return frozenset()
        earlier, later = self._looks[since - 1 : since + 1]
        return frozenset(
            name
            for name, said in later.items()
            if name in earlier and said.let_go == earlier[name].let_go
        )

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
                rows.append(Row(key, seen.body if seen.live else None))
            else:
                unsettled.append(key)
        return rows, unsettled

    def _reaches(self, key: bytes) -> bool:
        return self.end is None or key <= self.end

    def __repr__(self) -> str:
        return f"<Sight {len(self._seen)} records in {len(self._looks)} looks>"
