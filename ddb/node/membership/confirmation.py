"""Confirmation: a node that has started votes only once its peers find nothing against its disk.

A node cannot see that its own disk is of an earlier time, and its peers can. A node alone decides
nothing, so to wait for one other node of each cell costs no availability.
"""

import asyncio
from collections.abc import Collection


class Confirmation:
    """Which peers have welcomed this start of the node, and whether one has refused it."""

    def __init__(self, cells: Collection[tuple[str, ...]]) -> None:
        """`cells` names the other nodes of each cell that this node belongs to."""
        self.complete = False
        """Whether this start may vote."""
        self.reason = ""
        """Why a peer has refused it."""
        self.refused = asyncio.Event()
        self._cells = cells
        self._confirmed: set[str] = set()

    def confirm(self, peer: str) -> None:
        """A peer has welcomed this start."""
        self._confirmed.add(peer)
        self.complete = not self.refused.is_set() and all(
            not self._confirmed.isdisjoint(cell) for cell in self._cells
        )

    def refuse(self, reason: str) -> None:
        """A peer remembers a later state of this disk: the vote is gone at once."""
        self.complete = False
        self.reason = reason
        self.refused.set()

    def __repr__(self) -> str:
        state = "refused" if self.refused.is_set() else "votes" if self.complete else "waits"
        return f"<Confirmation {state}, by {', '.join(sorted(self._confirmed)) or 'no node'}>"
