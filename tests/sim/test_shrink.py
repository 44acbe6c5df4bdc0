"""The shrinker, on promises that are broken by known means."""

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


def test_what_does_not_matter_is_cut_away() -> None:
    """A promise that takes two POSTs and a death is broken by just those in the end."""

    def breaks(candidate: Plan) -> Report:
        posts = sum(op.action is Action.POST for op in candidate.ops)
        dies = any(fault.kind is FaultKind.KILL for fault in candidate.faults)
        return _report(posts >= 2 and dies)

    small = shrink(_large(), breaks)
    assert [op.action for op in small.ops] == [Action.POST] * 2
    assert [fault.kind for fault in small.faults] == [FaultKind.KILL]


def test_a_schedule_that_matters_is_looked_for() -> None:
    """Where a smaller plan fails under another salt only, that salt is found and kept."""
    large = _large()

    def breaks(candidate: Plan) -> Report:
        whole = len(candidate.ops) == len(large.ops)
        return _report(whole or candidate.salt == large.salt + 2)

    small = shrink(large, breaks)
    assert not small.ops
    assert small.salt == large.salt + 2


def test_a_plan_that_breaks_nothing_is_left_alone() -> None:
    """There is nothing to cut from a plan that keeps every promise."""
    large = replace(_large(), salt=7)
    assert shrink(large, lambda _: _report(False)) == large


def test_what_is_left_keeps_its_time() -> None:
    """An operation that stays begins as long after its client's start as it did."""
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
