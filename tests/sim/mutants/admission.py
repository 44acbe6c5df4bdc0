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
        (Patch(_ADMISSION, "if self._is_foreign(hello.cluster) else", "if False else"),),
        family="medley",
    ),
    Mutant(
        "takes-any-new-disk",
        "a node takes the disk of any caller with a peer's name for the peer's new disk",
        (Patch(_ADMISSION, "self._found.get(caller) != boot.node_id", "False"),),
        family="medley",
    ),
    Mutant(
        "new-disk-without-its-hello",
        "a node takes any disk at a peer's address for the peer's new one",
        (Patch(_ADMISSION, "if self.peers.replaces(name, reply.boot):", "if False:"),),
        family="medley",
    ),
    Mutant(
        "obeys-another-cluster",
        "a node gives up its disk because a node of another cluster refuses it",
        (Patch(_ADMISSION, " and (not own or own == reply.cluster)", ""),),
        family="medley",
    ),
)
