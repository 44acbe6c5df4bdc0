"""Dots and version vectors: a replica's position in a record's history.

A dot names one round of one record: a counter, and the node id of the coordinator. Dots are
totally ordered. The newest dot of a state is the ballot under which nodes accepted it. Equal newest
dots therefore mean equal states.

A version vector (Parker et al. 1983) has the newest dot of each coordinator. The order of two
vectors tells a stale replica from a branch that an interrupted coordinator left.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

MOST_DOTS = 8
"""Dots per version: three for the cell, and five for former node ids of replaced disks.

Lower: versions lose dots, and `compare` may call a stale version concurrent. Higher: each dot
costs 12 bytes per record.
"""


class Dot(NamedTuple):
    """A ballot: a `HybridClock` counter, then the coordinator's node id."""

    counter: int
    node: int

    def __repr__(self) -> str:
        return f"{self.counter:x}@{self.node:x}"


NEVER = Dot(0, 0)
"""The newest dot of a record that a node has never stored; it is below every other dot."""

Version = tuple[Dot, ...]
"""A version vector: at most one dot per node, newest first. Empty: the node has no state."""


class Order(Enum):
    """The relation of one version to another."""

    EQUAL = "equal"
    AHEAD = "ahead"
    BEHIND = "behind"
    CONCURRENT = "concurrent"


def newest(version: Version) -> Dot:
    """Return the ballot of the state that has `version`."""
    return version[0] if version else NEVER


def compare(left: Version, right: Version) -> Order:
    """Return the relation of `left` to `right`.

    `compare(v, v)` is EQUAL. AHEAD and BEHIND mirror each other. The result of `advance` is AHEAD
    of its argument. The result of `join` is AHEAD of each argument or EQUAL to it.
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
    """Return the least version that is behind neither argument.

    `join` is commutative, associative and idempotent.
    """
    if left == right:
        return left
    return _newest_first((*left, *right))


def advance(version: Version, dot: Dot) -> Version:
    """Return `version` after the round `dot`.

    Args:
        version: The version before the round.
        dot: The ballot of the round. The caller makes it newer than every dot of `version`.
    """
    others = [other for other in version if other.node != dot.node]
    return (dot, *others[: MOST_DOTS - 1])


def _newest_first(dots: Iterable[Dot]) -> Version:
    by_node: dict[int, Dot] = {}
    for dot in dots:
        if dot > by_node.get(dot.node, NEVER):
            by_node[dot.node] = dot
    return tuple(sorted(by_node.values(), reverse=True)[:MOST_DOTS])
