"""Bugs in a node's record of open rounds, and in its commit notices."""

from tests.sim.mutants.plant import Mutant, Patch

_ROUNDS = "ddb.node.consensus.open_rounds"

ROUNDS = (
    Mutant(
        "calls-open-rounds-decided",
        "a node sends commit notices for rounds whose end it has not seen",
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
        "a node reports rounds up to an observed counter that it will issue after a restart",
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
        "a node's commit notices cover rounds that its crash has interrupted",
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
        "a peer takes the notices of a new boot to cover all rounds since the first notice",
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
        "a coordinator counts a round with a silent partner as one that no node stored",
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
                "Fate.UNKNOWN if proposed else Fate.NEVER_STORED",
                "Fate.NEVER_STORED",
            ),
        ),
        family="hearsay",
    ),
    Mutant(
        "forgets-open-rounds",
        "a round that no node stored cancels an earlier one that some node may have stored",
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
