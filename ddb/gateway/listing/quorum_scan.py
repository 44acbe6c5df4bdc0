"""The quorum scan: the records that successive scans of one key range prove decided.

Two of a cell's three nodes decide each record. So of any two nodes that reply, one has the newest
decided state. Pure: `range_read` sends the scans.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence

import msgspec

from ddb.gateway.listing.scatter_gather import Cells
from ddb.record.codec import LIVE, NEWEST, is_live
from ddb.ring.ring import Cell, partition_in
from ddb.wire.messages import ScanPage


class Row(msgspec.Struct, frozen=True, gc=False):
    """A settled record. `body` is None: a tombstone."""

    key: bytes
    body: bytes | None


class Newest(msgspec.Struct, gc=False):
    """The newest state of a record among the replies so far; its body may come later."""

    head: bytes
    body: bytes
    """Empty: the node that was to send the body has an older state."""
    node: str
    """The node that sent this state first."""
    second: str
    """The node that sent this state second; empty: no other node did."""
    claimed: bool
    """Whether a node called this state decided in the first scan."""

    def decided(self, claims_hold: bool) -> bool:
        """Return whether the state is decided.

        `claims_hold`: True: the later scans prove what nodes called decided. False: they do not.
        """
        return bool(self.second) or (claims_hold and self.claimed)

    @property
    def whole(self) -> bool:
        """Whether the state has a body, or needs none."""
        return bool(self.body) or not is_live(self.head)

    def settled(self, claims_hold: bool) -> bool:
        """Return whether the state is decided and whole; `claims_hold` as in `decided`."""
        return self.decided(claims_hold) and self.whole


class QuorumScan:
    """The scans so far of a key range that lies in some cells."""

    def __init__(self, cells: Cells, cell_of: Sequence[Cell]) -> None:
        """`cell_of`: the cell of each partition, by its number."""
        self._cells = cells
        self._cell_of = cell_of
        self._damaged: set[int] = set()
        self._scans: list[Mapping[str, ScanPage]] = []
        # The records, while one scan settles them all.
        self._agreed: list[Row] | None = None
        self._newest: dict[bytes, Newest] = {}
        # The number of scans whose rows are in `_newest`.
        self._compared = 0
        self.end: bytes | None = None
        """The last key up to which no reply was cut off; None: no reply was."""

    def add(self, scan: Mapping[str, ScanPage]) -> None:
        """Add the replies to one scan, which was sent after all earlier replies."""
        self._scans.append(scan)
        for page in scan.values():
            self._damaged.update(page.damaged)
            if page.more and (self.end is None or page.keys[-1] < self.end):
                self.end = page.keys[-1]
        first = len(self._scans) == 1
        self._agreed = agreed_rows(scan.values(), self.end) if first else None

    def complete(self, first_scan: int = 0) -> bool:
        """Return whether the scans from `first_scan` on have all states decided before it.

        Both homes are enough: one of them stores each decided state and keeps it.

        One home and the standby are enough if the standby replied in an earlier scan than the
        home. Otherwise the standby could hand a hint off and drop it between the two replies. Its
        reply to the scan just before `first_scan` is enough if it has dropped no hint since.

        A node that lacks rows of a partition counts as silent for that partition.
        """
        steady = self._without_drops(first_scan)
        return all(self._covers(cell, None, steady, first_scan) for cell in self._cells) and all(
            self._covers(self._cell_of[number].nodes, number, steady, first_scan)
            for number in self._damaged
        )

    def _covers(
        self,
        cell: tuple[str, str, str],
        number: int | None,
        steady: frozenset[str],
        first_scan: int,
    ) -> bool:
        """Return whether `complete` holds for one cell, or for one damaged partition of it."""
        home, second_home, standby = cell
        names: set[str] = set()
        standby_replied = standby in steady and (
            number is None or number not in self._scans[first_scan - 1][standby].damaged
        )
        for scan in self._scans[first_scan:]:
            here = [
                name
                for name in cell
                if name in scan and (number is None or number not in scan[name].damaged)
            ]
            names.update(here)
            if home in names and second_home in names:
                return True
            if standby_replied and (home in here or second_home in here):
                return True
            standby_replied = standby_replied or standby in names
        return False

    def _without_drops(self, number: int) -> frozenset[str]:
        """Return the nodes that dropped no hint between the scan before `number` and that scan."""
        if not 0 < number < len(self._scans):
            return frozenset()
        earlier, later = self._scans[number - 1 : number + 1]
        return frozenset(
            name
            for name, page in later.items()
            if name in earlier and page.hint_stamp == earlier[name].hint_stamp
        )

    def incomplete(self) -> frozenset[str]:
        """Return the nodes that lack rows, so that other nodes send the bodies."""
        return frozenset(name for scan in self._scans for name in scan if scan[name].damaged)

    def settles_more(self) -> bool:
        """Return whether further scans can settle records that are not settled yet."""
        return self._agreed is None and any(
            newest.settled(True) and not newest.settled(False)
            for key, newest in self._compare().items()
            if self._reaches(key)
        )

    def stale_senders(self) -> frozenset[str]:
        """Return the nodes that lack a decided state whose body no node has sent.

        A returned home still sends bodies, but old ones. The other nodes send only heads.
        """
        if self._agreed is not None:
            return frozenset()
        claims_hold = self.complete(first_scan=1)
        return frozenset(
            name
            for key, newest in self._compare().items()
            if newest.decided(claims_hold) and not newest.whole and self._reaches(key)
            for name in self._cell_of[partition_in(key)].nodes
            if name not in (newest.node, newest.second)
        )

    def records(self) -> tuple[list[Row], list[bytes]]:
        """Return the settled records up to `end`, in order, and the keys of the others.

        A record is settled if two nodes store its newest state, or if one node calls it decided.
        A node may call a state decided after the other two have replaced it. So its claim counts
        only if they replied later.
        """
        if self._agreed is not None:
            return self._agreed, []
        claims_hold = self.complete(first_scan=1)
        rows: list[Row] = []
        unsettled: list[bytes] = []
        records = self._compare()
        for key in sorted(filter(self._reaches, records)):
            newest = records[key]
            if newest.settled(claims_hold):
                rows.append(Row(key, newest.body if is_live(newest.head) else None))
            else:
                unsettled.append(key)
        return rows, unsettled

    def _compare(self) -> dict[bytes, Newest]:
        """Return the newest state of each record, by key."""
        records = self._newest
        for number in range(self._compared, len(self._scans)):
            first = number == 0
            for name, page in self._scans[number].items():
                rows = zip(page.keys, page.heads, page.bodies, page.decided, strict=True)
                for key, head, body, decided in rows:
                    found = records.get(key)
                    if found is None or found.head[NEWEST] < head[NEWEST]:
                        records[key] = Newest(head, body, name, "", bool(first and decided))
                    elif found.head == head:
                        if name != found.node:
                            found.second = found.second or name
                        found.body = found.body or body
                        found.claimed = found.claimed or bool(first and decided)
        self._compared = len(self._scans)
        return records

    def _reaches(self, key: bytes) -> bool:
        return self.end is None or key <= self.end

    def __repr__(self) -> str:
        rows = sum(len(page.keys) for scan in self._scans for page in scan.values())
        return f"<QuorumScan {rows} rows in {len(self._scans)} scans>"


def agreed_rows(pages: Collection[ScanPage], end: bytes | None) -> list[Row] | None:
    """Return the records of one scan, in order, if all copies agree.

    They agree if exactly two nodes have each record, in one state, and one of them sent its body.
    That is so for nearly every scan, and `QuorumScan` would then settle the same records. Comparing
    columns takes four tenths of the time of comparing rows. None: some copies do not agree.

    Args:
        pages: the replies; each has a key once, in order.
        end: the last key to compare; None: all.
    """
    keys: list[bytes] = []
    heads: list[bytes] = []
    bodies: list[bytes] = []
    for page in pages:
        stop = len(page.keys) if end is None else bisect_right(page.keys, end)
        keys += page.keys[:stop]
        heads += page.heads[:stop]
        bodies += page.bodies[:stop]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    first, second = order[::2], order[1::2]
    in_order, states = [keys[at] for at in first], [heads[at] for at in first]
    if in_order != [keys[at] for at in second] or states != [heads[at] for at in second]:
        return None
    shown = [
        bodies[at] or bodies[other] if state and state[0] & LIVE else None
        for at, other, state in zip(first, second, states, strict=True)
    ]
    return None if b"" in shown else list(map(Row, in_order, shown))
