"""Bugs in repair: hints, handoff, refill, formation, tallies."""

from tests.sim.mutants.plant import Mutant, Patch

_REPLICA = "ddb.node.replica.acceptor"
_ACCEPTANCE = "ddb.node.replica.handoff_acceptance"
_HANDOFF = "ddb.node.repair.handoff"
_REFILL = "ddb.node.repair.refill"
_REFILL_SOURCE = "ddb.node.repair.refill_source"

REPAIR = (
    Mutant(
        "one-home-is-enough",
        "the standby drops its copy once one home confirms it",
        (
            Patch(
                _HANDOFF,
                "if len(homes) == HOMES and self._drop(key, newest, min(readable)[0]):",
                "if self._drop(key, newest, max(readable)[0]):",
            ),
        ),
        family="seesaw",
    ),
    Mutant(
        "drops-below-its-promise",
        "the standby drops its copy although it has promised a newer ballot",
        (Patch(_REPLICA, "max(newest, self.open_promise(key)) > confirmed", "newest > confirmed"),),
        family="pledges",
    ),
    Mutant(
        "drops-what-changed",
        "the standby drops its copy although the copy has changed since it was sent",
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
        "a home confirms a handed-off state before it is durable",
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
        "hand-off-of-the-volatile",
        "a standby hands a hint off before its own copy is durable",
        (
            Patch(
                "ddb.node.repair.handoff",
                "        await self._replica.writes.wait_keys(key for key, _ in batch)\n",
                "",
            ),
        ),
        family="volatile",
    ),
    Mutant(
        "keeper-by-one-hint",
        "a home that has taken one hint counts as having taken all of them",
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
        "a home counts as having taken all hints although it did not answer",
        (
            Patch(
                _HANDOFF,
                "            offered = self._order.alone_first((home,), [number], reachable)\n"
                "            if await self._offer((home,), offered) is None:\n"
                "                return\n",
                "            offered = self._order.alone_first((home,), [number], reachable)\n"
                "            await self._offer((home,), offered)\n",
            ),
        ),
        family="homecoming",
    ),
    Mutant(
        "hints-not-scanned-at-boot",
        "a restarted standby does not find its hints",
        (Patch(_REPLICA, "            self.index_hint(key, raw, True)\n", "            pass\n"),),
        family="seesaw",
    ),
    Mutant(
        "absent-without-looking",
        "a standby reports a record as absent without a check of its hints",
        (
            Patch(
                _REPLICA,
                "        raw = self.copies.raw(request.key)\n"
                "        newest = peek(raw)\n        same",
                "        raw = self.copies.raw(request.key)\n"
                "        if self.family(request.key) is Family.HINTS:\n"
                '            raw = b""\n'
                "        newest = peek(raw)\n        same",
            ),
        ),
        family="bridge",
    ),
    Mutant(
        "held-back-for-ever",
        "a standby offers a refused hint again and again, and never settles it by a round",
        (Patch(_HANDOFF, "                refused.append(key)\n", "                pass\n"),),
        family="seesaw",
    ),
    Mutant(
        "rounds-below-the-promise",
        "a standby settles a refused hint by rounds below the home's promise",
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
        "a node with a new disk votes before it has copied its share",
        (
            Patch(
                "ddb.node.membership.bootstrap",
                "            if complete:\n",
                "            if True:\n",
            ),
        ),
        family="renewal",
    ),
    Mutant(
        "refill-without-hints",
        "a node with a new disk copies the homes' records, but not the standbys' hints",
        (Patch(_REFILL, "                await self._copy_home_share(peer, Share.HINTS)\n", ""),),
        family="renewal",
    ),
    Mutant(
        "refill-without-standby",
        "a node with a new disk does not restore its lost hints",
        (Patch(_REFILL, "            await self._copy_standby_share()\n", ""),),
        family="renewal",
    ),
    Mutant(
        "refill-without-floor",
        "a node with a new disk takes ballots that its lost disk may have promised to refuse",
        (
            # Each of the two covers for the other.
            Patch(_REFILL, "        await self._ballots.raise_floor(floor)\n", ""),
            Patch(_REFILL_SOURCE, "    await replica.raise_floor(request.floor)\n", ""),
        ),
        family="amnesia",
    ),
    Mutant(
        "refill-without-fence",
        "a round that a lost disk had stored ends after the new disk has replaced it",
        (Patch(_REFILL_SOURCE, "    await replica.raise_floor(request.floor)\n", ""),),
        family="amnesia",
    ),
    Mutant(
        "wiped-under-its-old-id",
        "a node with a new disk takes part under the node id of the lost one",
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
        "a node takes a proposal that its coordinator sent before it lost its disk",
        (
            Patch(
                "ddb.node.membership.boots",
                "        return self._hello_ids.get(name) == node_id\n",
                "        return True\n",
            ),
        ),
        family="amnesia",
    ),
    Mutant(
        "tally-not-updated",
        "a record changes, and its partition's tally does not",
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
        "a node writes a tally in a batch of its own, and crashes before it",
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
        "a tally counts each write as a live record, whether or not one existed",
        (
            Patch(
                "ddb.node.replica.partition_digests", "            live -= before[0] & LIVE\n", ""
            ),
        ),
        family="lone",
    ),
)
