"""The notes of an observer outside the system, for the checkers."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.sim.history import Call, Ended, Record

MOST_NOTES = 20_000


@dataclass(slots=True)
class Trouble:
    """A span of time in which `nodes` may be out of reach; none named means all."""

    start: float
    end: float
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """One LIST of all records, with its rows in order."""

    invoked: float
    returned: float
    rows: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Paged:
    """One page of a LIST from an offset."""

    invoked: float
    returned: float
    offset: int
    limit: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """One COUNT."""

    invoked: float
    returned: float
    count: int


@dataclass(frozen=True, slots=True)
class Timed:
    """One request of a client, and when and how its gateway answered."""

    id: str | None
    """None for LIST and COUNT."""
    invoked: float
    returned: float
    decided: bool
    answer: str
    keyed: bool
    """Whether it had an Idempotency-Key."""


@dataclass(slots=True)
class Observed:
    """All notes of one run."""

    calls: list[Call] = field(default_factory=list)
    listed: list[Listed] = field(default_factory=list)
    paged: list[Paged] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    timed: list[Timed] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    violations: list[tuple[str, str]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    notes: list[tuple[float, str]] = field(default_factory=list)

    def violate(self, checker: str, what: str) -> None:
        """Note that a run broke a promise."""
        self.violations.append((checker, what))

    def note(self, now: float, what: str) -> None:
        """Add a line to the readable trace, up to `MOST_NOTES`."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append((now, what))

    def trouble(self, now: float, nodes: tuple[str, ...]) -> Trouble:
        """Note that trouble begins; the caller sets its end."""
        begun = Trouble(now, math.inf, nodes)
        self.troubles.append(begun)
        return begun


def by_id(observed: Observed) -> dict[str, list[Call]]:
    """Group the calls by record."""
    calls: defaultdict[str, list[Call]] = defaultdict(list)
    for call in observed.calls:
        calls[call.id].append(call)
    return calls


def ended(call: Call, *kinds: Ended) -> bool:
    """Return whether the answer to a call is one of `kinds`."""
    return call.answer is not None and call.answer.kind in kinds
