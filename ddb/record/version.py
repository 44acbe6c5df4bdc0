"""Dots and version vectors: what a replica has seen of a record's history.

A dot names one change or settling round of one record: a counter, and the id of the node that
coordinated it. Dots are totally ordered, and the newest dot of a state is the ballot under which
the state was accepted, so equal newest dots mean equal states. A version vector (Parker et al.
1983) keeps the newest dot of each coordinator; comparing two vectors tells a stale replica from a
branch that an interrupted coordinator left behind.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

MOST_DOTS = 8
"""Coordinators remembered per record: a cell of three, and room for minted-anew node ids."""


class Dot(NamedTuple):
    """A ballot: `counter` (hybrid clock, see `ddb.record.clock`), then the coordinator's id."""

    counter: int
    node: int

    def __repr__(self) -> str:
        return f"{self.counter:x}@{self.node:x}"


NEVER = Dot(0, 0)
"""Below every dot: the newest dot of a record that a node has never seen."""

Version = tuple[Dot, ...]
"""A version vector: at most one dot per node, newest first. Empty where nothing was seen."""


class Order(Enum):
    """How one version relates to another."""

    EQUAL = "equal"
    AHEAD = "ahead"
    BEHIND = "behind"
    CONCURRENT = "concurrent"


def newest(version: Version) -> Dot:
    """The ballot of the state that carries `version`."""
    return version[0] if version else NEVER


def compare(left: Version, right: Version) -> Order:
    """How `left` relates to `right`.

    Laws: `compare(v, v)` is EQUAL; AHEAD and BEHIND mirror each other; a version is AHEAD of
    every version it was advanced or joined from.
    """
    if left == right:
        return Order.EQUAL
    mine = {dot.node: dot.counter for dot in left}
    theirs = {dot.node: dot.counter for dot in right}
    ahead = any(counter > theirs.get(node, 0) for node, counter in mine.items())
    behind = any(counter > mine.get(node, 0) for node, counter in theirs.items())
    if ahead and behind:
        return Order.CONCURRENT
    return Order.AHEAD if ahead else Order.BEHIND


def join(left: Version, right: Version) -> Version:
    """The least version that both are behind or equal to: commutative, associative, idempotent."""
    if left == right:
        return left
    return _newest_first((*left, *right))


def advance(version: Version, dot: Dot) -> Version:
    """`version` after the round `dot`; the caller made `dot` newer than all of `version`."""
    rest = [seen for seen in version if seen.node != dot.node]
    return (dot, *rest[: MOST_DOTS - 1])


def _newest_first(dots: Iterable[Dot]) -> Version:
    best: dict[int, Dot] = {}
    for dot in dots:
        if dot > best.get(dot.node, NEVER):
            best[dot.node] = dot
    return tuple(sorted(best.values(), reverse=True)[:MOST_DOTS])
