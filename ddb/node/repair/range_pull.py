"""The states that a damaged range gets back from the two other nodes of its cell.

A decided state has two copies, so at least one of the two peers has it. As a home, the node takes
the newer of their states. As the standby, it takes back only the records on which the homes differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ddb.node.repair.peer_copies import PeerCopies
from ddb.node.replica.damage import Range
from ddb.record.codec import peek
from ddb.record.version import NEVER, Dot
from ddb.wire.messages import PullShare, Share


@dataclass(frozen=True, slots=True, repr=False)
class RangePull:
    """Reads one damaged range, within one partition, from its peers.

    Args:
        name: the node that rebuilds the range.
        peers: the two other nodes of the cell.
        damaged: the range.
        floor: the counter up to which both peers refuse every ballot from then on.
        budget_s: seconds until the deadline of each request.
        timeout_s: seconds without a reply after which a peer is silent.
    """

    copies: PeerCopies
    name: str
    peers: Sequence[str]
    damaged: Range
    floor: int
    budget_s: float
    timeout_s: float
    gaps: list[Range] = field(default_factory=list)
    """The parts of the range that a peer cannot read either."""

    async def as_home(self, homes: tuple[str, str]) -> dict[bytes, bytes]:
        """Return the newer state of each record: one of the peers has the decided one."""
        rows: dict[bytes, bytes] = {}
        for peer in self.peers:
            share = Share.HOMES if peer in homes else Share.HINTS
            for key, dot, raw in await self._pull(peer, share):
                if dot > peek(rows.get(key)):
                    rows[key] = raw
        return rows

    async def as_standby(self) -> dict[bytes, bytes]:
        """Return the newer states where the homes differ: the lost hint may be a second copy."""
        first, second = [
            {key: dot for key, dot, _ in await self._pull(peer, Share.STANDBY)}
            for peer in self.peers
        ]
        rows: dict[bytes, bytes] = {}
        for key in sorted({*first, *second}):
            one, other = first.get(key, NEVER), second.get(key, NEVER)
            if one != other:
                holder = self.peers[0] if one > other else self.peers[1]
                rows[key] = await self.copies.state(
                    holder, key, budget_s=self.budget_s, timeout_s=self.timeout_s
                )
        return rows

    async def _pull(self, peer: str, share: Share) -> list[tuple[bytes, Dot, bytes]]:
        """Return a peer's rows of the range, and add the parts that it cannot read to `gaps`."""
        damaged = self.damaged
        rows: list[tuple[bytes, Dot, bytes]] = []
        after: bytes | None = _before(damaged.start)
        while after is not None:
            page = await self.copies.page(
                peer,
                PullShare(self.name, share, after, self.floor, damaged.stop),
                budget_s=self.budget_s,
                timeout_s=self.timeout_s,
            )
            rows += (row for row in page.rows if damaged.covers(row[0]))
            parts = (Range(*gap).within(damaged.start, damaged.stop) for gap in page.gaps)
            self.gaps.extend(part for part in parts if part is not None)
            after = page.after
        return rows

    def __repr__(self) -> str:
        return f"<RangePull of {self.damaged} from {' and '.join(self.peers)}>"


def _before(key: bytes) -> bytes:
    """Return a key below `key`, with few records or none in between."""
    last = key[-1]
    return key[:-1] + (bytes((last - 1,)) + b"\xff" if last else b"")
