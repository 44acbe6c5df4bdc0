"""Bugs in the acceptor: its promises, acceptances and acknowledgements."""

from tests.sim.mutants.plant import Mutant, Patch

_REPLICA = "ddb.node.replica.acceptor"
_BALLOTS = "ddb.node.replica.ballots"

REPLICA = (
    Mutant(
        "forgets-promises",
        "a restarted node takes ballots that it may have promised to refuse",
        (
            Patch(
                _REPLICA,
                "            ballot[0] <= self._ballots.floor\n            or ",
                "            ",
            ),
        ),
        family="amnesia",
    ),
    Mutant(
        "ceiling-never-written",
        "a node stores no ceiling above its promises on disk",
        (
            Patch(
                _BALLOTS,
                "        if counter > self._reserved_next - RESERVED_AHEAD // 2:",
                "        if False:",
            ),
        ),
        family="amnesia",
    ),
    Mutant(
        "takes-below-its-promise",
        "a replica accepts a ballot below its promise",
        (Patch(_REPLICA, "            or ballot < self._promises.get(key, NEVER)\n", ""),),
        family="bridge",
    ),
    Mutant(
        "takes-below-its-version",
        "a replica accepts a version older than its own",
        (Patch(_REPLICA, "            or ballot < newest\n", ""),),
        family="bridge",
    ),
    Mutant(
        "no-promise-to-a-stranger",
        "a replica whose base differs sends its state without a promise",
        (
            Patch(
                _REPLICA,
                "        self.promise(key, ballot)\n        return self.writes.reply_when_durable(",
                "        return self.writes.reply_when_durable(",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "propose-without-base",
        "a replica stores a proposal although it builds on another base",
        (Patch(_REPLICA, "        if not raw or newest == request.base:\n", "        if True:\n"),),
        family="bridge",
    ),
    Mutant(
        "acknowledges-before-fsync",
        "a replica acknowledges a state before it is durable",
        (
            Patch(
                "ddb.node.replica.pending_writes",
                "        pending = self._pending.get(key)\n        if also",
                "        pending = None\n        if also",
            ),
        ),
        family="volatile",
    ),
)
