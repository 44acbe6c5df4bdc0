"""Bugs in how a node treats copies that it cannot read, and takes them back."""

from tests.sim.mutants.plant import Mutant, Patch

_REPLICA = "ddb.node.replica.acceptor"
_RANGE_REBUILD = "ddb.node.replica.range_rebuild"
_REBUILD = "ddb.node.repair.rebuild"
_FAMILY = "rotten block"

DAMAGE = (
    Mutant(
        "takes-from-one-copy",
        "a damaged range is rebuilt from one of the two other nodes alone",
        (
            Patch(
                _REBUILD,
                "        for peer in peers:\n            share =",
                "        for peer in peers[:1]:\n            share =",
            ),
        ),
        family=_FAMILY,
    ),
    Mutant(
        "rebuild-without-fence",
        "a round that had a damaged copy ends after that copy was rebuilt without it",
        (
            Patch(
                _REBUILD,
                "PullShare(self._name, share, after, self._floor, piece.stop)",
                "PullShare(self._name, share, after, 0, piece.stop)",
            ),
        ),
        family=_FAMILY,
    ),
    Mutant(
        "standby-takes-nothing-back",
        "a standby forgets the hints that it could not read",
        (
            Patch(
                _REBUILD,
                "                rows = await self._as_standby(peers, piece, gaps)\n",
                "                rows = {}\n",
            ),
        ),
        family=_FAMILY,
    ),
    Mutant(
        "damaged-range-counts-as-absent",
        "a node answers that it has nothing where it cannot read what it has",
        (
            Patch(
                _REPLICA,
                "            self.damage.check(family, key)\n",
                '            if self.damage.covers(family, key):\n                return b""\n',
            ),
        ),
        family=_FAMILY,
    ),
    Mutant(
        "lists-without-its-damage",
        "a node does not say that rows are missing from what it lists",
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
        "a node that restarts takes a range that it has not rebuilt yet for one without records",
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
        "a range counts as rebuilt on disk before its rows are there",
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
