"""Bugs in the rules of a record: its changes, and the operations that it remembers."""

from tests.sim.mutants.plant import Mutant, Patch

_LOG = "ddb.record.keyed_log"
_MEMORY = "ddb.node.consensus.dedup_window"
_ISSUES = "ddb.node.consensus.issue_log"

RECORD = (
    Mutant(
        "refusals-leave-no-trace",
        "a node refuses a change without a record of it, while an earlier attempt may still arrive",
        (
            Patch(
                "ddb.record.state",
                "(effect.outcome is DONE or intent.record_refusal)",
                "effect.outcome is DONE",
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
                "change.body if change.kind is CREATE else None",
                "change.body if change.kind is not DELETE else None",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "update-replaces",
        "one of two updates of different fields is lost",
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
        "a node forgets an operation while its gateway can still retry it",
        (
            Patch(
                "ddb.node.consensus.dedup_window",
                "        name = entry.operation.id\n",
                "        name = entry.operation.id\n        return True\n",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "watch-of-the-key-alone",
        "a node that has seen both uses of a key gives the second the age of the first",
        (
            Patch(
                _LOG,
                "while log and expired(oldest(log)):",
                "while log and expired(Dot(1, int.from_bytes(log[22:26], 'big'))):",
            ),
            Patch(
                _MEMORY,
                "        return self._ballots.expired(",
                "        self._ballots.saw(ballot.node, ballot.counter, self._clock.now())\n"
                "        return self._ballots.expired(",
            ),
        ),
        family="reuse",
    ),
    Mutant(
        "slice-as-old-as-its-first-entry",
        "a slice expires with its first entry, and its later entries with it",
        (Patch(_LOG, "    _, _, counter, node = ", "    _, counter, _, node = "),),
        family="reuse",
    ),
    Mutant(
        "retry-sought-in-the-newest-slice",
        "a node recognises a retry only in the newest slice of the log",
        (Patch(_LOG, "in reversed(starts(log)):", "in starts(log)[-1:]:"),),
        family="reuse",
    ),
    Mutant(
        "mark-expires-all-that-were-seen",
        "the newest ballots of a coordinator expire with its oldest one",
        (
            Patch(
                _ISSUES,
                "max(found.expired, marks.popleft()[1])",
                "max(found.expired, marks[-1][1], marks.popleft()[1])",
            ),
        ),
        family="reuse",
    ),
    Mutant(
        "peer-reports-the-unexpired",
        "a node reports ballots that it has merely seen as expired",
        (
            Patch(
                _ISSUES,
                "issuer: found.expired for issuer, found in self._issuers.items() if found.expired"
                " >= 0",
                "issuer: found.marks[-1][1] for issuer, found in self._issuers.items()"
                " if found.marks",
            ),
        ),
        family="reuse",
    ),
    Mutant(
        "keyed-change-without-doubt",
        "a node refuses a keyed change without a record, although an earlier attempt may exist",
        (
            Patch(
                "ddb.node.fastpath.fast_write",
                "attempt.request, attempt.request.in_doubt or proposed",
                "attempt.request, proposed",
            ),
            Patch(
                "ddb.node.fastpath.attempt",
                "Intent(*change_of(request), bool(request.fingerprint))",
                "Intent(*change_of(request))",
            ),
        ),
        family="reuse",
    ),
)
