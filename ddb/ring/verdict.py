"""The verdict on a cluster: whether it decides every record, and after how many more failures."""

from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ddb.ring.ring import CELL, PARTITIONS, Ring

QUORUM = CELL - 1
"""Nodes of a cell that decide its records."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A sentence for a person, and its facts for a program.

    Args:
        ready: True if each cell has a quorum; False if some record cannot be decided in time.
        tolerates: further nodes that may fail, whichever they are, before requests are refused.
    """

    sentence: str
    ready: bool
    tolerates: int


class Judge:
    """Derives the verdict from the conditions of the nodes and the cells of one ring."""

    __slots__ = ("_names", "_partitions")

    def __init__(self, ring: Ring) -> None:
        self._names = ring.names
        self._partitions = Counter(frozenset(cell.nodes) for cell in ring.cells)

    def verdict(self, deciding: AbstractSet[str], connected: AbstractSet[str]) -> Verdict:
        """Return the verdict.

        Args:
            deciding: the nodes that are expected to reply in time.
            connected: these and the suspect nodes, which may reply.
        """
        spare = min(len(cell & deciding) for cell in self._partitions) - QUORUM
        nodes = self._nodes(deciding, connected)
        if spare > 0:
            return Verdict(f"READY: {nodes}; one more may fail", True, spare)
        if spare == 0:
            warning = "after one more failure requests may be refused"
            return Verdict(f"READY: {nodes}; {warning}", True, 0)
        undecided = self._without_quorum(deciding)
        share = undecided / PARTITIONS
        requests = (
            "all reads and writes"
            if undecided == PARTITIONS
            else f"reads and writes of {max(share, 0.01):.0%} of the records"
        )
        are = "are" if self._without_quorum(connected) == undecided else "may be"
        return Verdict(
            f"NOT READY: {nodes}; {requests} {are} refused, and acknowledged writes are kept",
            False,
            0,
        )

    def _without_quorum(self, names: AbstractSet[str]) -> int:
        """Return the number of partitions without a quorum in `names`."""
        return sum(count for cell, count in self._partitions.items() if len(cell & names) < QUORUM)

    def _nodes(self, deciding: AbstractSet[str], connected: AbstractSet[str]) -> str:
        """Return how many nodes decide, and the condition of each other one."""
        others = [
            f"{name} is {'suspect' if name in connected else 'down'}"
            for name in self._names
            if name not in deciding
        ]
        if not others:
            return f"all {len(self._names)} nodes decide"
        number = len(self._names) - len(others)
        decide = "decides" if number == 1 else "decide"
        return f"{number} of {len(self._names)} nodes {decide} ({', '.join(others)})"

    def __repr__(self) -> str:
        return f"<Judge of {len(self._names)} nodes, {len(self._partitions)} different cells>"
