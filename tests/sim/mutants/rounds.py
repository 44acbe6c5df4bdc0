"""Bugs in what a node knows, and tells its peers, of rounds that have ended."""

from tests.sim.mutants.plant import Mutant, Patch

_ROUNDS = "ddb.node.consensus.open_rounds"

ROUNDS = (
    Mutant(
        "calls-open-rounds-decided",
        "a node tells its peers that rounds have ended whose end it does not know",
        (
            Patch(
                _ROUNDS,
                "        return next(iter(self._open.values()), self._ballots.issued)\n",
                "        return self._ballots.issued\n",
            ),
        ),
        family="hearsay",
    ),
    Mutant(
        "speaks-of-what-it-observed",
        "a node reports rounds up to a counter that it observed and will issue after a restart",
        (
            Patch(
                _ROUNDS,
                "self._open.values()), self._ballots.issued)\n",
                "self._open.values()), self._ballots.counter)\n",
            ),
        ),
        family="hearsay",
    ),
    Mutant(
        "calls-earlier-lives-decided",
        "what a node says of its rounds covers those that a crash interrupted",
        (
            Patch(
                _ROUNDS,
                "        self.first_counter = ballots.issued\n",
                "        self.first_counter = 0\n",
            ),
        ),
        family="hearsay",
    ),
    Mutant(
        "believes-gaps",
        "what a peer says in a new life is taken to cover all since it first spoke",
        (
            Patch(
                "ddb.node.consensus.commit_index",
                "            spans.append((first_counter, upto))\n",
                "            if spans:\n"
                "                spans[-1] = (spans[-1][0], upto)\n"
                "            else:\n"
                "                spans.append((first_counter, upto))\n",
            ),
        ),
        family="hearsay",
    ),
    Mutant(
        "calls-silent-rounds-void",
        "a round whose partner was silent counts as one that nobody stored",
        (
            Patch(
                "ddb.node.consensus.proposer",
                "            raw = encode(made.state)\n            fate = Fate.UNKNOWN\n",
                "            raw = encode(made.state)\n            fate = Fate.NEVER_STORED\n",
            ),
            Patch(
                "ddb.node.consensus.proposer",
                "                raw = encode(made.state)\n                fate = Fate.UNKNOWN\n",
                "                raw = encode(made.state)\n",
            ),
            Patch(
                "ddb.node.fastpath.fast_write",
                "Fate.UNKNOWN if in_doubt else Fate.NEVER_STORED",
                "Fate.NEVER_STORED",
            ),
        ),
        family="hearsay",
    ),
    Mutant(
        "forgets-open-rounds",
        "a round that nobody stored makes up for an earlier one that somebody may have",
        (
            Patch(
                _ROUNDS,
                "(fate is Fate.NEVER_STORED and self.is_only)",
                "fate is Fate.NEVER_STORED",
            ),
        ),
        family="hearsay",
    ),
)
