"""Bugs in which callers a node accepts."""

from tests.sim.mutants.plant import Mutant, Patch

_ADMISSION = "ddb.node.admission"

ADMISSION = (
    Mutant(
        "answers-for-another-node",
        "a node accepts a caller that expects another node at its address",
        (Patch(_ADMISSION, 'if hello.callee not in ("", self._name):', "if False:"),),
        family="medley",
    ),
    Mutant(
        "accepts-another-cluster",
        "a node accepts a caller that belongs to another cluster",
        (Patch(_ADMISSION, "if self._is_foreign(hello.cluster):", "if False:"),),
        family="medley",
    ),
    Mutant(
        "replaces-a-disk-in-use",
        "a node takes a second process with a peer's name for the peer's new disk",
        (Patch(_ADMISSION, "and self._condition(name) <= Condition.SLOW", "and False"),),
        family="medley",
    ),
)
