"""Bugs in rounds that decide several changes of one record."""

from tests.sim.mutants.plant import Mutant, Patch

_COMBINED = "ddb.record.combined"
_COMBINER = "ddb.node.fastpath.combiner"
_PROPOSER = "ddb.node.consensus.proposer"

COMBINED = (
    Mutant(
        "results-change-places",
        "a change of a round gets the result of another one",
        (
            Patch(
                _PROPOSER,
                "        for change, step in zip(changes, made.steps, strict=True):\n"
                "            # The round",
                "        for change, step in zip(changes, reversed(made.steps), strict=True):\n"
                "            # The round",
            ),
        ),
        family="crowd",
    ),
    Mutant(
        "changes-ignore-each-other",
        "a round computes each change from its base, without the changes before it",
        (
            Patch(
                _COMBINED,
                "        made = evaluated(state, intent, ballot, earlier)\n",
                "        made = evaluated(\n"
                "            State(state.version, base.live, base.body, state.recent, state.keyed),"
                " intent, ballot, earlier\n"
                "        )\n",
            ),
        ),
        family="crowd",
    ),
    Mutant(
        "combined-refusals-leave-no-trace",
        "a round of several changes records no refusal, although an earlier attempt may still act",
        (
            Patch(
                _COMBINER,
                "PendingChange(Intent(*change_of(each.request), each.request.in_doubt),"
                " each.deadline)",
                "PendingChange(Intent(*change_of(each.request),"
                " each.request.in_doubt and len(taken) == 1), each.deadline)",
            ),
        ),
        family="crowd",
    ),
    Mutant(
        "retry-missed-in-its-own-round",
        "a round applies two attempts at one operation, since its base has neither",
        (
            Patch(
                _COMBINED,
                "return state.recall(operation) if earlier is None else earlier",
                "return earlier",
            ),
            Patch(
                _COMBINED,
                "            outcomes[operation.id] = made.outcome\n",
                "            pass\n",
            ),
        ),
        family="crowd",
    ),
    Mutant(
        "no-room-no-round",
        "a round applies a change without room for its operation, and answers that it did not",
        (
            Patch(
                _COMBINED,
                "                steps.append(None)\n                continue\n",
                "                steps.append(None)\n"
                "                state = evaluated(state, intent, ballot, earlier).state\n"
                "                continue\n",
            ),
        ),
        family="crowd",
    ),
)
