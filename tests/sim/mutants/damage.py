"""Bugs in how a node handles unreadable copies, and rebuilds them."""

from tests.sim.mutants.plant import Mutant, Patch

_COPIES = "ddb.node.replica.copies"
_REPLICA = "ddb.node.replica.acceptor"
_RANGE_REBUILD = "ddb.node.replica.range_rebuild"
_REBUILD = "ddb.node.repair.rebuild"
_PULL = "ddb.node.repair.range_pull"
_BOOTSTRAP = "ddb.node.membership.bootstrap"
_FAMILY = "rotten block"
_DOUBLE = "double fault"

DAMAGE = (
    Mutant(
        "takes-from-one-copy",
        "a node rebuilds a damaged range from only one of the two other nodes",
        (
            Patch(
                _PULL,
                "        for peer in self.peers:\n            share =",
                "        for peer in self.peers[:1]:\n            share =",
            ),
        ),
        family=_FAMILY,
    ),
    Mutant(
        "rebuild-without-fence",
        "a round that a damaged copy had stored ends after the rebuild without it",
        (
            Patch(
                _PULL,
                "PullShare(self.name, share, after, self.floor, damaged.stop)",
                "PullShare(self.name, share, after, 0, damaged.stop)",
            ),
        ),
        family=_FAMILY,
    ),
    Mutant(
        "standby-takes-nothing-back",
        "a standby does not restore the hints that it cannot read",
        (
            Patch(
                _REBUILD,
                "                rows = await pull.as_standby()\n",
                "                rows = {}\n",
            ),
        ),
        family=_FAMILY,
    ),
    Mutant(
        "damaged-range-counts-as-absent",
        "a node reports a record in a damaged range as absent",
        (
            Patch(
                _COPIES,
                "            self.damage.check(family, key)\n",
                '            if self.damage.covers(family, key):\n                return b""\n',
            ),
        ),
        family=_FAMILY,
    ),
    Mutant(
        "lists-without-its-damage",
        "a node does not report that its scan misses damaged rows",
        (
            Patch(
                "ddb.node.scan",
                "_between(damage.partitions, start, request.until) if damage.partitions else ()",
                "()",
            ),
        ),
        family=_FAMILY,
    ),
    Mutant(
        "damage-forgotten-by-a-restart",
        "a restarted node takes a damaged range for one without records",
        (
            Patch(
                "ddb.node.replica.damage",
                "        stored = store.get(Family.META, DAMAGE)\n",
                "        stored = None\n",
            ),
        ),
        family=_FAMILY,
    ),
    Mutant(
        "range-cleared-before-its-rows",
        "a range counts as rebuilt on disk before its rows are on disk",
        (
            Patch(
                _RANGE_REBUILD,
                "    await written(store.commit([(family, at, raw) for at, raw in"
                " rows.items()]))\n",
                "",
            ),
            Patch(
                _RANGE_REBUILD,
                "    damage.heal(family, healed)\n    return True\n",
                "    damage.heal(family, healed)\n"
                "    await written(store.commit([(family, at, raw) for at, raw in rows.items()]))\n"
                "    return True\n",
            ),
        ),
        family=_FAMILY,
    ),
    Mutant(
        "outdated-rows-go-despite-damage",
        "an outdated node discards its rows although another node cannot read some of its own",
        (
            Patch(
                _BOOTSTRAP,
                "all(member and member.votes and member.whole for",
                "all(member and member.votes for",
            ),
        ),
        family=_DOUBLE,
    ),
    Mutant(
        "fence-of-earlier-damage",
        "a rebuild includes damage that the node found after it had raised its fence",
        (
            Patch(
                _REBUILD,
                "        return self._fenced != self._damage.found_ranges or",
                "        return False and",
            ),
        ),
        family=_DOUBLE,
    ),
    Mutant(
        "share-ends-at-a-malformed-row",
        "a share ends where the last row of a page is malformed",
        (
            Patch(
                "ddb.node.repair.refill_source",
                "        if len(stored) == PAGE_ROWS:\n",
                "        if len(stored) == PAGE_ROWS and rows and rows[-1][0] == stored[-1][0]:\n",
            ),
        ),
        family=_DOUBLE,
    ),
    Mutant(
        "new-disk-keeps-its-damage",
        "a blank node that cannot read what it has copied begins its refill again on those copies",
        (
            Patch(
                _BOOTSTRAP,
                "                await self._discard()\n"
                "                return\n"
                "            if complete:",
                "                complete = False\n            if complete:",
            ),
        ),
        family=_DOUBLE,
    ),
    Mutant(
        "malformed-row-ends-a-refill",
        "a node with a new disk ends when it meets a malformed row on it",
        (
            Patch(
                _REPLICA,
                "        stored = self.copies.readable(key)\n"
                "        if stored is None:\n"
                "            raise Unreadable",
                "        stored = self.copies.raw(key)\n"
                "        if stored is None:\n"
                "            raise Unreadable",
            ),
        ),
        family=_DOUBLE,
    ),
    Mutant(
        "malformed-hint-ends-handoff",
        "a standby sends a malformed hint to the homes",
        (
            Patch(
                "ddb.node.repair.hint_order",
                "damage.states(Family.HINTS, partition_rows(damage, Family.HINTS, number))",
                "partition_rows(damage, Family.HINTS, number)",
            ),
        ),
        family=_DOUBLE,
    ),
    Mutant(
        "malformed-body-leaves-its-round-open",
        "a round that ends at a malformed body limits the commit index for ever",
        (
            Patch(
                "ddb.node.fastpath.fast_write",
                "            proposed = True\n        finally:\n",
                "            proposed = True\n"
                "        except DamagedState:\n"
                "            proposed = True\n"
                "            raise\n"
                "        finally:\n",
            ),
        ),
        family=_DOUBLE,
    ),
)
