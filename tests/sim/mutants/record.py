"""Bugs in the record's own rules: what a change makes of it, which operations it remembers."""

from tests.sim.mutants.plant import Mutant, Patch

_LOG = "ddb.record.keyed_log"
_MEMORY = "ddb.node.consensus.dedup_window"
_ISSUES = "ddb.node.consensus.issue_log"

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
                "ddb.node.consensus.dedup_window",
                "        name = entry.operation.id\n",
                "        name = entry.operation.id\n        return True\n",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "watch-of-the-key-alone",
        "a second use of a key is as old as the first, where a node saw both",
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
        "a slice is forgotten when its first entry has expired, and the later ones with it",
        (Patch(_LOG, "    _, _, counter, node = ", "    _, counter, _, node = "),),
        family="reuse",
    ),
    Mutant(
        "retry-sought-in-the-newest-slice",
        "a retry is recognised only while the slice of its first attempt is the newest one",
        (Patch(_LOG, "in reversed(starts(log)):", "in starts(log)[-1:]:"),),
        family="reuse",
    ),
    Mutant(
        "mark-expires-all-that-were-seen",
        "as the oldest of a coordinator's ballots expires, the newest ones do as well",
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
        "a node reports to its peers as expired what it has merely seen",
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
        "a keyed change is refused without a trace though its client may have sent it before",
        (
            Patch(
                "ddb.node.fastpath.fast_write",
                "attempt.request, attempt.request.retry or in_doubt",
                "attempt.request, in_doubt",
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
