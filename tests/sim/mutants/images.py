"""Bugs in how nodes tell a disk that is of an earlier time."""

from tests.sim.mutants.plant import Mutant, Patch

_BOOTS = "ddb.node.membership.boots"

IMAGES = (
    Mutant(
        "old-image-votes",
        "a node whose disk was put back as it was some time ago votes with it",
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
        "a node does not remember which boot number a peer has used",
        (
            Patch(
                _BOOTS,
                "    if boot.number < recorded.number:\n        return Finding.EARLIER_BOOT\n",
                "",
            ),
            Patch(
                _BOOTS,
                "None if boot.nonce == recorded.nonce else Finding.USED_BOOT",
                "None",
            ),
        ),
        family="images",
    ),
    Mutant(
        "ceiling-not-compared",
        "a node does not hold a peer's disk against how far the peer's counters had come",
        (
            Patch(
                _BOOTS, "Finding.LOWER_CEILING if boot.ceiling < recorded.reached else None", "None"
            ),
        ),
        family="images",
    ),
    Mutant(
        "retired-id-returns",
        "a disk that was replaced votes again under its old node id",
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
