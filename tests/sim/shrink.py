"""Shrinks a failing plan by delta debugging (Zeller & Hildebrandt 2002).

Without one of its operations a plan runs on another schedule. So the shrinker runs each candidate
with a few salts. A candidate fails if the same checker complains under one of them.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.sim.plan import Fault, Plan
from tests.sim.run import Report, run

T = TypeVar("T", int, Fault)
Runner = Callable[[Plan], Report]
_SALTS = 3
MOST_RUNS = 400


class _Budget:
    """The number of runs left, and the failure to look up."""

    def __init__(self, checker: str, runner: Runner, most: int) -> None:
        self._checker = checker
        self._runner = runner
        self.left = most

    def fails(self, plan: Plan) -> Plan | None:
        """Return the plan with a salt under which it breaks the same promise, or None."""
        for salt in range(plan.salt, plan.salt + _SALTS):
            if self.left <= 0:
                return None
            self.left -= 1
            candidate = replace(plan, salt=salt)
            if any(checker == self._checker for checker, _ in self._runner(candidate).violations):
                return candidate
        return None


def shrink(plan: Plan, runner: Runner = run, most: int = MOST_RUNS) -> Plan:
    """Return a smaller plan that breaks the same promise, or the plan if it breaks none."""
    violations = runner(plan).violations
    if not violations:
        return plan
    budget = _Budget(violations[0][0], runner, most)
    size = None
    while size != (len(plan.ops), len(plan.faults)) and budget.left > 0:
        size = (len(plan.ops), len(plan.faults))
        plan = _calmer(plan, budget)
        plan = _fewer(plan, plan.faults, _with_faults, budget)
        clients = tuple(dict.fromkeys(op.client for op in plan.ops))
        if 1 < len(clients) < len(plan.ops):
            plan = _fewer(plan, clients, _with_clients, budget)
        plan = _fewer(plan, range(len(plan.ops)), _with_ops, budget)
    return plan


def _calmer(plan: Plan, budget: _Budget) -> Plan:
    """Remove weather, clock skew and knobs, one by one, as long as the plan fails."""
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


def _with_faults(plan: Plan, faults: Sequence[Fault]) -> Plan:
    return replace(plan, faults=tuple(faults))


def _with_clients(plan: Plan, clients: Sequence[int]) -> Plan:
    return replace(plan, ops=tuple(op for op in plan.ops if op.client in clients))


def _with_ops(plan: Plan, numbers: Sequence[int]) -> Plan:
    """Keep the operations `numbers`, each at its original time after its client's start."""
    kept, waited, ops = frozenset(numbers), defaultdict[int, float](float), []
    for number, op in enumerate(plan.ops):
        waited[op.client] += op.gap
        if number in kept:
            ops.append(replace(op, gap=waited.pop(op.client)))
    return replace(plan, ops=tuple(ops))


def _fewer(
    plan: Plan, items: Sequence[T], make: Callable[[Plan, Sequence[T]], Plan], budget: _Budget
) -> Plan:
    """Keep as few items as still fail: remove chunks of them, halving the chunk size."""
    whole, kept = plan, list(items)
    chunk = max(1, len(kept) // 2)
    while kept:
        at, removed = 0, False
        while at < len(kept):
            fewer = kept[:at] + kept[at + chunk :]
            found = budget.fails(replace(make(whole, fewer), salt=plan.salt))
            if found is None:
                at += chunk
            else:
                plan, kept, removed = found, fewer, True
        if chunk == 1 and not removed:
            break
        chunk = max(1, chunk // 2)
    return plan
