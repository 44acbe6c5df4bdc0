"""The rounds of this node that have begun and not ended: what it cannot yet call decided."""

from collections.abc import Sequence
from enum import Enum
from itertools import islice

from ddb.node.replica.ballots import Ballots


class Fate(Enum):
    """How a round ended."""

    DECIDED = "decided"
    """This node has stored the state durably, after its partner."""
    NEVER_STORED = "void"
    """Nobody has stored the state, nor will."""
    UNKNOWN = "open"
    """A partner may have stored it, or may yet."""


class OpenRounds:
    """At most one round per key runs at a time, in the key's turn. Pure, but for the ballots."""

    def __init__(self, ballots: Ballots) -> None:
        self._ballots = ballots
        self._open: dict[bytes, int] = {}
        self._left: dict[bytes, None] = {}
        self.since = ballots.issued
        """Every ballot of this process is above, every one of its earlier processes is not."""

    @property
    def upto(self) -> int:
        """Every round from `since` up to this counter is decided, void, or overtaken.

        Overtaken: by a later round of this node on the same record, which was decided. A replica
        that holds such a state alone may take it for decided: with any other one it has the later
        state in sight.
        """
        return next(iter(self._open.values()), self._ballots.issued)

    def begin(self, key: bytes) -> bool:
        """A round begins, whose ballot is not yet issued; whether no earlier one was left open."""
        if key in self._open:
            return False
        # In order: the last counter issued never goes back.
        self._open[key] = self._ballots.issued
        return True

    def end(self, key: bytes, first: bool, fate: Fate) -> None:
        """The round has ended; `first` is what `begin` said of it."""
        if fate is Fate.DECIDED or (fate is Fate.NEVER_STORED and first):
            self._open.pop(key, None)
            self._left.pop(key, None)
        elif fate is Fate.UNKNOWN:
            self._left[key] = None

    def left(self, most: int) -> Sequence[bytes]:
        """Records, `most` of them, of which a round was left open: another would decide it."""
        return list(islice(self._left, most))

    def __repr__(self) -> str:
        return f"<Rounds {len(self._open)} open, {len(self._left)} of them left so>"
