"""The shrinker, on promises that certain operations and faults break."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.sim.plan import Action, FaultKind, Plan
from tests.sim.run import Report
from tests.sim.shrink import shrink
from tests.sim.swarm import draw


def _report(broken: bool) -> Report:
    violations = (("broken", "as expected"),) if broken else ()
    return Report(0, "", violations, 0, 0, Counter(), Counter(), 0, 0.0, ())


def _large() -> Plan:
    return next(
        drawn
        for drawn in map(draw, range(1000))
        if len(drawn.ops) > 40
        and len(drawn.faults) > 8
        and any(fault.kind is FaultKind.KILL for fault in drawn.faults)
        and sum(op.action is Action.POST for op in drawn.ops) > 2
    )


def test_shrinking_leaves_only_what_breaks_the_promise() -> None:
    """A plan whose failure needs two POSTs and a death shrinks to just those."""

    def breaks(candidate: Plan) -> Report:
        posts = sum(op.action is Action.POST for op in candidate.ops)
        dies = any(fault.kind is FaultKind.KILL for fault in candidate.faults)
        return _report(posts >= 2 and dies)

    small = shrink(_large(), breaks)
    assert [op.action for op in small.ops] == [Action.POST] * 2
    assert [fault.kind for fault in small.faults] == [FaultKind.KILL]


def test_shrinking_finds_the_salt_that_fails() -> None:
    """If a smaller plan fails only under another salt, the shrinker finds and keeps that salt."""
    large = _large()

    def breaks(candidate: Plan) -> Report:
        whole = len(candidate.ops) == len(large.ops)
        return _report(whole or candidate.salt == large.salt + 2)

    small = shrink(large, breaks)
    assert not small.ops
    assert small.salt == large.salt + 2


def test_shrinking_leaves_a_plan_that_breaks_nothing() -> None:
    """A plan that keeps all promises stays as it is."""
    large = replace(_large(), salt=7)
    assert shrink(large, lambda _: _report(False)) == large


def test_remaining_operations_keep_their_time() -> None:
    """A remaining operation begins as long after its client's start as before."""
    large = _large()
    last = large.ops[-1]
    due = sum(op.gap for op in large.ops if op.client == last.client)

    def breaks(candidate: Plan) -> Report:
        left = [op for op in candidate.ops if op.client == last.client]
        whole = sum(op.gap for op in left)
        return _report(
            bool(left) and left[-1] == replace(last, gap=left[-1].gap) and whole > 0.9 * due
        )

    small = shrink(large, breaks)
    assert [op.gap for op in small.ops] == [pytest.approx(due)]
