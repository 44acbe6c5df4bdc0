"""Bugs in the record's own rules: what a change makes of it, which operations it remembers."""

from tests.sim.mutants.plant import Mutant, Patch

RECORD = (
    Mutant(
        "refusals-leave-no-trace",
        "a refusal is told though an earlier attempt may still arrive, and is not recorded",
        (
            Patch(
                "ddb.record.state",
                "(effect.outcome is Outcome.DONE or intent.record_refusal)",
                "effect.outcome is Outcome.DONE",
            ),
        ),
        family="stubborn",
    ),
    Mutant(
        "update-revives",
        "an update of a deleted record brings it back",
        (
            Patch(
                "ddb.record.change",
                "    if base is None:\n        return Outcome.ABSENT\n",
                "    if base is None:\n"
                "        return Outcome.DONE if change.kind is Kind.UPDATE else Outcome.ABSENT\n",
            ),
            Patch(
                "ddb.record.change",
                "change.body if change.kind is Kind.CREATE else None",
                "change.body if change.kind is not Kind.DELETE else None",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "update-replaces",
        "of two updates of different fields one is lost",
        (
            Patch(
                "ddb.record.change",
                "    record = _decode(base)\n",
                "    record = {**_decode(fields)}\n",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "forgets-operations-at-once",
        "an operation is forgotten while it can still be attempted again",
        (
            Patch(
                "ddb.node.memory",
                "        operation = entry.operation\n",
                "        operation = entry.operation\n        return True\n",
            ),
        ),
        family="bridge",
    ),
)
