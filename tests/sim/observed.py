"""What an observer outside the system notes of a run; the checkers read it afterwards."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.sim.history import Call, Ended, Record

MOST_NOTES = 20_000


@dataclass(slots=True)
class Trouble:
    """From `start` to `end`, `nodes` (empty: anything) may be out of reach."""

    start: float
    end: float
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """One LIST of everything: the rows in order, and when it began and ended."""

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
    """One request of a client, as its gateway answered it."""

    id: str | None
    """None for LIST and COUNT."""
    invoked: float
    returned: float
    decided: bool
    answer: str


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
        """Note a broken promise."""
        self.violations.append((checker, what))

    def note(self, now: float, what: str) -> None:
        """A line for the readable trace."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append((now, what))

    def trouble(self, now: float, nodes: tuple[str, ...]) -> Trouble:
        """Note the beginning of trouble; the caller sets its end."""
        begun = Trouble(now, math.inf, nodes)
        self.troubles.append(begun)
        return begun


def by_id(observed: Observed) -> dict[str, list[Call]]:
    """The calls of each record."""
    calls: defaultdict[str, list[Call]] = defaultdict(list)
    for call in observed.calls:
        calls[call.id].append(call)
    return calls


def ended(call: Call, *kinds: Ended) -> bool:
    """Whether a call was answered in one of these ways."""
    return call.answer is not None and call.answer.kind in kinds
