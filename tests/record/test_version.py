"""Version vectors: the laws on which repair depends."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.record.version import (
    MOST_DOTS,
    NEVER,
    Dot,
    Order,
    Version,
    advance,
    compare,
    join,
    newest,
)
from tests.record.strategies import dots, versions

steady = settings(deadline=None)
few = versions(nodes=MOST_DOTS, counters=6)
many = versions(nodes=30, counters=6)
MIRROR = {
    Order.EQUAL: Order.EQUAL,
    Order.AHEAD: Order.BEHIND,
    Order.BEHIND: Order.AHEAD,
    Order.CONCURRENT: Order.CONCURRENT,
}


def counter_of(version: Version, node: int) -> int:
    return max((dot.counter for dot in version if dot.node == node), default=0)


def by_definition(left: Version, right: Version) -> Order:
    nodes = {dot.node for dot in (*left, *right)}
    over = any(counter_of(left, node) > counter_of(right, node) for node in nodes)
    under = any(counter_of(left, node) < counter_of(right, node) for node in nodes)
    return {
        (False, False): Order.EQUAL,
        (True, False): Order.AHEAD,
        (False, True): Order.BEHIND,
        (True, True): Order.CONCURRENT,
    }[over, under]


@steady
@given(few, few)
def test_comparison_equals_its_definition(left: Version, right: Version) -> None:
    """`compare` compares the counters of each node; an absent node counts as zero."""
    assert compare(left, right) is by_definition(left, right)
    assert compare(right, left) is MIRROR[compare(left, right)]
    assert compare(left, left) is Order.EQUAL


@steady
@given(few, few, few)
def test_order_is_transitive(first: Version, second: Version, third: Version) -> None:
    """A version that is ahead of a second one is ahead of all versions behind that one."""
    if compare(first, second) is Order.AHEAD and compare(second, third) is Order.AHEAD:
        assert compare(first, third) is Order.AHEAD


@steady
@given(many, many, many)
def test_join_laws(first: Version, second: Version, third: Version) -> None:
    """`join` is commutative, associative and idempotent, also for more than `MOST_DOTS` nodes."""
    assert join(first, second) == join(second, first)
    assert join(join(first, second), third) == join(first, join(second, third))
    assert join(first, first) == first
    assert join(first, ()) == first


@steady
@given(few, few, few)
def test_join_is_the_least_upper_bound(left: Version, right: Version, other: Version) -> None:
    """A join is behind neither part, and it is the least such version."""
    both = join(left, right)
    not_behind = (Order.EQUAL, Order.AHEAD)
    assert compare(both, left) in not_behind
    assert compare(both, right) in not_behind
    if compare(other, left) in not_behind and compare(other, right) in not_behind:
        assert compare(other, both) in not_behind


@steady
@given(many, many, st.integers(1, 30))
def test_advance_returns_a_well_formed_version(left: Version, right: Version, node: int) -> None:
    """A version after a round is sorted, has one dot per node, and starts with the ballot."""
    both = join(left, right)
    ballot = Dot(newest(both).counter + 1, node)
    after = advance(both, ballot)
    assert newest(after) == ballot
    assert list(after) == sorted(after, reverse=True)
    assert len({dot.node for dot in after}) == len(after) <= MOST_DOTS
    assert after[1:] == tuple(dot for dot in both if dot.node != node)[: MOST_DOTS - 1]


@steady
@given(few, few, st.integers(1, MOST_DOTS))
def test_advance_dominates_both_parts(left: Version, right: Version, node: int) -> None:
    """The version after a round is ahead of both versions that the round found."""
    both = join(left, right)
    after = advance(both, Dot(newest(both).counter + 1, node))
    assert compare(after, left) is Order.AHEAD
    assert compare(after, right) is Order.AHEAD


@steady
@given(versions(nodes=5, counters=9), versions(nodes=5, counters=9))
def test_dominating_version_has_the_newer_dot(left: Version, right: Version) -> None:
    """A version that is ahead of another has a newest dot at least as new."""
    if compare(left, right) is Order.AHEAD:
        assert newest(left) >= newest(right)


@steady
@given(dots(), dots())
def test_dots_are_totally_ordered(left: Dot, right: Dot) -> None:
    """One of two different dots is newer, and every dot is newer than `NEVER`."""
    assert (left < right) + (left > right) + (left == right) == 1
    assert left > NEVER
    assert newest(()) == NEVER


def test_interrupted_coordinators_leave_concurrent_versions() -> None:
    """Two rounds of different nodes that began from one version leave concurrent versions."""
    base = advance((), Dot(5, 1))
    assert compare(advance(base, Dot(6, 2)), advance(base, Dot(6, 3))) is Order.CONCURRENT
