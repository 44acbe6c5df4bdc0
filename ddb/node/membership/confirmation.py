"""Confirmation: after a start, a node votes only once its peers have accepted its disk.

A node cannot detect that its own disk is outdated; its peers can. One node alone decides nothing.
So to wait for one other node of each cell costs no availability.
"""

import asyncio
from collections.abc import Collection


class Confirmation:
    """The peers that have accepted this start of the node, and the refusal of one."""

    def __init__(self, cells: Collection[tuple[str, ...]]) -> None:
        """`cells`: the other nodes of each cell that this node belongs to."""
        self.complete = False
        """Whether this start may vote."""
        self.reason = ""
        """Why a peer has refused this start; empty where none has."""
        self.refused = asyncio.Event()
        self._cells = cells
        self._confirmed: set[str] = set()

    def confirm(self, peer: str) -> None:
        """Record that a peer has accepted this start."""
        self._confirmed.add(peer)
        self.complete = not self.refused.is_set() and all(
            not self._confirmed.isdisjoint(cell) for cell in self._cells
        )

    def refuse(self, reason: str) -> None:
        """Record that a peer remembers a later state of this disk; end this node's vote."""
        self.complete = False
        self.reason = reason
        self.refused.set()

    def __repr__(self) -> str:
        state = "refused" if self.refused.is_set() else "votes" if self.complete else "waits"
        return f"<Confirmation {state}, by {', '.join(sorted(self._confirmed)) or 'no node'}>"
