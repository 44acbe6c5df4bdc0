"""Open rounds: this node's rounds that began and have no certain end, and its commit index."""

from collections.abc import Sequence
from enum import Enum
from itertools import islice

import msgspec

from ddb.node.replica.ballots import Ballots


class Fate(Enum):
    """How a round ended."""

    DECIDED = "decided"
    """This node has stored the state durably, after its peer."""
    NEVER_STORED = "void"
    """No node has stored the state, and none will."""
    UNKNOWN = "open"
    """A peer may have stored the state, or may still store it."""


# Most rounds end so. To read a member from its class costs 80 ns.
DECIDED = Fate.DECIDED


class Round(msgspec.Struct, eq=False):
    """One round, from its begin to its end."""

    key: bytes
    is_only: bool
    """True if no earlier round on the record is open. False if one is: only a decision ends it."""
    open_rounds: dict[bytes, int]
    """The dict that a decided or void round leaves."""
    interrupted: dict[bytes, None]
    """The dict that a round with an unknown end enters."""

    def end(self, fate: Fate) -> None:
        """End the round. Each round ends exactly once."""
        if fate is DECIDED or (fate is Fate.NEVER_STORED and self.is_only):
            self.open_rounds.pop(self.key, None)
            self.interrupted.pop(self.key, None)
        elif fate is Fate.UNKNOWN:
            self.interrupted[self.key] = None

    def __repr__(self) -> str:
        return f"<Round on {self.key!r}{'' if self.is_only else ', after an open one'}>"


class OpenRounds:
    """The open rounds of one process, at most one running per key.

    Pure, except that it reads the last issued ballot.
    """

    def __init__(self, ballots: Ballots) -> None:
        self._ballots = ballots
        self._open: dict[bytes, int] = {}
        self._interrupted: dict[bytes, None] = {}
        self.first_counter = ballots.issued
        """Every ballot of this process is above it. No ballot of an earlier process is."""

    @property
    def commit_index(self) -> int:
        """The counter up to which all rounds since `first_counter` have ended.

        Each such round is decided, void or overtaken. A later round of this node on the same record
        overtakes it and is decided. A replica may call an overtaken state decided while it is
        alone: any second replica then has the later state.
        """
        return next(iter(self._open.values()), self._ballots.issued)

    def begin(self, key: bytes) -> Round:
        """Begin a round, before its ballot is issued. The caller has the key's turn."""
        is_only = key not in self._open
        if is_only:
            # The dict stays in ascending order, since the last issued counter never goes back.
            self._open[key] = self._ballots.issued
        return Round(key, is_only, self._open, self._interrupted)

    def interrupted(self, limit: int) -> Sequence[bytes]:
        """Return up to `limit` keys whose last round has an unknown end. A new round decides it."""
        return list(islice(self._interrupted, limit))

    def __repr__(self) -> str:
        return f"<OpenRounds {len(self._open)} open, {len(self._interrupted)} interrupted>"
