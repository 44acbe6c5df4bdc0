"""Bugs in how nodes detect an old image of a disk."""

from tests.sim.mutants.plant import Mutant, Patch

_BOOTS = "ddb.node.membership.boots"

IMAGES = (
    Mutant(
        "old-image-votes",
        "a node with an old image of its disk votes",
        (
            Patch(
                _BOOTS,
                "        return find(self._records.get(name), boot)\n",
                "        return None\n",
            ),
        ),
        family="images",
    ),
    Mutant(
        "boot-number-forgotten",
        "a node does not remember the boot numbers that a peer has used",
        (
            Patch(
                _BOOTS,
                "    if boot.number < recorded.number:\n        return Finding.EARLIER_BOOT\n",
                "",
            ),
            Patch(
                _BOOTS,
                "None if boot.nonces[0] == recorded.nonce else Finding.USED_BOOT",
                "None",
            ),
        ),
        family="images",
    ),
    Mutant(
        "earlier-nonces-not-compared",
        "an old image passes once its boot number exceeds the remembered one",
        (
            Patch(
                _BOOTS,
                "        return Finding.OTHER_START\n",
                "        pass\n",
            ),
        ),
        family="images",
    ),
    Mutant(
        "ceiling-not-compared",
        "a node does not compare a peer's ceiling with the counters that it has seen of it",
        (
            Patch(
                _BOOTS, "Finding.LOWER_CEILING if boot.ceiling < recorded.reached else None", "None"
            ),
        ),
        family="images",
    ),
    Mutant(
        "retired-id-returns",
        "a replaced disk votes again under its retired node id",
        (
            Patch(
                _BOOTS, "Finding.RETIRED_ID if boot.node_id in recorded.retired else None", "None"
            ),
        ),
        family="images",
    ),
    Mutant(
        "votes-unconfirmed",
        "a node votes before any other node has confirmed its disk",
        (
            Patch(
                "ddb.node.membership.confirmation",
                '        self.complete = False\n        """Whether',
                '        self.complete = True\n        """Whether',
            ),
        ),
        family="images",
    ),
)
