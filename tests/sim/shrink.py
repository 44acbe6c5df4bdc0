"""Cutting a failing plan down to what it takes (delta debugging, Zeller & Hildebrandt 2002).

A plan without one of its operations runs on another schedule from there on, so that each candidate
is given a few salts: what counts is that the same checker still complains under one of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.sim.plan import Fault, Op, Plan
from tests.sim.run import Report, run

T = TypeVar("T", Op, Fault)
Runner = Callable[[Plan], Report]
_SALTS = 3
MOST_RUNS = 400


class _Budget:
    """How many runs are left."""

    def __init__(self, checker: str, runner: Runner, most: int) -> None:
        self._checker = checker
        self._runner = runner
        self.left = most

    def fails(self, plan: Plan) -> Plan | None:
        """The plan with a salt under which it breaks the same promise, if there is one."""
        for salt in range(plan.salt, plan.salt + _SALTS):
            if self.left <= 0:
                return None
            self.left -= 1
            candidate = replace(plan, salt=salt)
            if any(checker == self._checker for checker, _ in self._runner(candidate).violations):
                return candidate
        return None


def shrink(plan: Plan, runner: Runner = run, most: int = MOST_RUNS) -> Plan:
    """A smaller plan that breaks the same promise; the plan itself where it breaks none."""
    violations = runner(plan).violations
    if not violations:
        return plan
    budget = _Budget(violations[0][0], runner, most)
    size = None
    while size != (len(plan.ops), len(plan.faults)) and budget.left > 0:
        size = (len(plan.ops), len(plan.faults))
        plan = _calmer(plan, budget)
        plan = _without(plan, plan.faults, lambda p, f: replace(p, faults=tuple(f)), budget)
        plan = _without(plan, plan.ops, lambda p, o: replace(p, ops=tuple(o)), budget)
    return plan


def _calmer(plan: Plan, budget: _Budget) -> Plan:
    """The plan with what is merely scenery taken away, as far as it still fails."""
    delay, jitter, *_ = plan.weather
    for candidate in (
        replace(plan, weather=(delay, jitter, 0.0, 0.0, 0.0)),
        replace(plan, skew=0.0),
        replace(plan, early=False),
        replace(plan, knobs={k: v for k, v in plan.knobs.items() if k == "PARTITIONS"}),
    ):
        if candidate != plan:
            plan = budget.fails(candidate) or plan
    return plan


def _without(
    plan: Plan, items: Sequence[T], make: Callable[[Plan, Sequence[T]], Plan], budget: _Budget
) -> Plan:
    """The plan with as few of the items as still fail, in chunks of halving size."""
    kept = list(items)
    chunk = max(1, len(kept) // 2)
    while kept:
        at, removed = 0, False
        while at < len(kept):
            fewer = kept[:at] + kept[at + chunk :]
            found = budget.fails(make(plan, fewer))
            if found is None:
                at += chunk
            else:
                plan, kept, removed = found, fewer, True
        if chunk == 1 and not removed:
            break
        chunk = max(1, chunk // 2)
    return plan
