"""Bugs in how a node handles unreadable copies, and rebuilds them."""

from tests.sim.mutants.plant import Mutant, Patch

_COPIES = "ddb.node.replica.copies"
_RANGE_REBUILD = "ddb.node.replica.range_rebuild"
_REBUILD = "ddb.node.repair.rebuild"
_PULL = "ddb.node.repair.range_pull"
_FAMILY = "rotten block"

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
)
