"""Bugs in what brings copies home: hints, handoff, refill, formation, summaries."""

from tests.sim.mutants.plant import Mutant, Patch

_REPLICA = "ddb.node.replica.acceptor"
_ACCEPTANCE = "ddb.node.replica.handoff_acceptance"
_HANDOFF = "ddb.node.repair.handoff"
_REFILL = "ddb.node.repair.refill"

REPAIR = (
    Mutant(
        "one-home-is-enough",
        "the standby drops its copy when one home confirms it",
        (
            Patch(
                _HANDOFF,
                "if len(homes) == BOTH and self._drop(key, newest, min(held)[0]):",
                "if self._drop(key, newest, max(held)[0]):",
            ),
        ),
        family="seesaw",
    ),
    Mutant(
        "drops-below-its-promise",
        "the standby drops its copy though it has promised something newer",
        (Patch(_REPLICA, "max(newest, self.open_promise(key)) > confirmed", "newest > confirmed"),),
        family="pledges",
    ),
    Mutant(
        "drops-what-changed",
        "the standby drops its copy though it has changed since it was sent",
        (Patch(_REPLICA, "peek(stored) != newest or max(", "max("),),
        family="bridge",
    ),
    Mutant(
        "hand-off-below-the-promise",
        "a home takes a handed-off state below its promise or floor",
        (
            Patch(
                _ACCEPTANCE,
                "        accepted = acceptor.replace(key, raw, ballot, stored) is Verdict.STORED\n",
                "        acceptor.restore(key, raw)\n        accepted = ballot >= peek(stored)\n",
            ),
        ),
        family="pledges",
    ),
    Mutant(
        "hand-off-not-durable",
        "a home confirms a handed-off state before its disk has it",
        (
            Patch(
                _ACCEPTANCE,
                "    await acceptor.writes.wait_keys(key for key, _ in states)\n",
                "",
            ),
        ),
        family="seesaw",
    ),
    Mutant(
        "keeper-by-one-hint",
        "a home that has taken one hint is said to hold all of them",
        (
            Patch(
                "ddb.node.replica.hint_index",
                "get(partition, holding) & holding",
                "get(partition, holding) | holding",
            ),
        ),
        family="homecoming",
    ),
    Mutant(
        "keeper-by-half-a-pass",
        "a home is said to hold all hints though it did not answer when they were offered to it",
        (
            Patch(
                _HANDOFF,
                "            if await self._offer((home,), self._hints_of(number)) is None:\n"
                "                return\n",
                "            await self._offer((home,), self._hints_of(number))\n",
            ),
        ),
        family="homecoming",
    ),
    Mutant(
        "hints-not-scanned-at-boot",
        "a standby that restarts knows nothing of its hints",
        (Patch(_REPLICA, "            self.index_hint(key, raw, True)\n", "            pass\n"),),
        family="seesaw",
    ),
    Mutant(
        "absent-without-looking",
        "a standby says that it has nothing without looking through its hints",
        (
            Patch(
                _REPLICA,
                "        raw = self.raw(request.key)\n        newest = peek(raw)\n        same",
                "        raw = self.raw(request.key)\n"
                "        if self.family(request.key) is Family.HINTS:\n"
                '            raw = b""\n'
                "        newest = peek(raw)\n        same",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "held-back-for-ever",
        "a hint that a home refuses is offered again and again, never settled by a round",
        (Patch(_HANDOFF, "                held_back.append(key)\n", "                pass\n"),),
        family="seesaw",
    ),
    Mutant(
        "rounds-below-the-promise",
        "a standby settles a refused hint by rounds that stay below what the home has promised",
        (
            Patch(
                _HANDOFF,
                "                self._ballots.observe(bar.counter)\n",
                "                pass\n",
            ),
        ),
        family="pledges",
    ),
    Mutant(
        "votes-before-refill",
        "a node with a new disk votes before it has taken over its share",
        (
            Patch(
                "ddb.node.membership.bootstrap",
                "            if await self._refill(floor):\n",
                "            if True:\n",
            ),
        ),
        family="renewal",
    ),
    Mutant(
        "refill-without-hints",
        "a node with a new disk takes over what homes have, not what standbys keep for it",
        (Patch(_REFILL, "                await self._take_homes(neighbour, Share.HINTS)\n", ""),),
        family="renewal",
    ),
    Mutant(
        "refill-without-standby",
        "a node with a new disk does not restore the hints that it lost",
        (Patch(_REFILL, "            await self._take_standby()\n", ""),),
        family="renewal",
    ),
    Mutant(
        "refill-without-floor",
        "a node with a new disk takes ballots that its lost disk may have promised to refuse",
        (
            # Each of the two covers for the other.
            Patch(_REFILL, "        await self._ballots.raise_floor(floor)\n", ""),
            Patch(_REFILL, "    await replica.raise_floor(request.floor)\n", ""),
        ),
        family="amnesia",
    ),
    Mutant(
        "refill-without-fence",
        "a round that a lost disk had stored is decided after the disk that takes its place",
        (Patch(_REFILL, "    await replica.raise_floor(request.floor)\n", ""),),
        family="amnesia",
    ),
    Mutant(
        "wiped-under-its-old-id",
        "a node with a new disk takes part under the node id of the disk it lost",
        (
            Patch(
                "ddb.node.membership.identity",
                "rng.randrange(1, 2**32)",
                'int.from_bytes(name.encode()[-4:], "big")',
            ),
        ),
        family="amnesia",
    ),
    Mutant(
        "lost-disk-proposal-counts",
        "a node takes a proposal that was sent before its coordinator lost its disk",
        (
            Patch(
                "ddb.node.membership.boots",
                "        return self._greeted.get(name) == node_id\n",
                "        return True\n",
            ),
        ),
        family="amnesia",
    ),
    Mutant(
        "tally-not-updated",
        "a record changes and its partition's summary does not",
        (
            Patch(
                _REPLICA,
                "((family, key, raw), digest)",
                "((family, key, raw),)",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "tally-in-its-own-batch",
        "a record's summary is written apart from it, and a crash falls between",
        (
            Patch(
                _REPLICA,
                "            if self._commit(key, ((family, key, raw), digest)):\n",
                "            self._commit(key, ((family, key, raw),))\n"
                "            if self._commit(key, (digest,)):\n",
            ),
        ),
        family="volatile",
    ),
    Mutant(
        "tally-counts-writes",
        "a summary counts what is written as live, whatever was there before",
        (
            Patch(
                "ddb.node.replica.partition_digests", "            live -= before[0] & LIVE\n", ""
            ),
        ),
        family="lone",
    ),
)
