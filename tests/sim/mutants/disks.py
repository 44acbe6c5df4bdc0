"""Bugs in how a node measures its disk, and in how callers treat a node whose disk is slow."""

from tests.sim.mutants.plant import Mutant, Patch

_HEALTH = "ddb.node.storage.disk_health"
_NODE = "ddb.node.node"

DISKS = (
    Mutant(
        "slow-disk-says-ready",
        "a node calls its disk healthy however long its flushes take",
        (
            Patch(
                _HEALTH,
                "    def _worsen(self, state: DiskState) -> None:\n        self.state = state\n",
                "    def _worsen(self, state: DiskState) -> None:\n",
            ),
            Patch(_NODE, "        give_up = give_up and all(", "        give_up = False and all("),
        ),
        family="slow disks",
    ),
    Mutant(
        "overdue-never-clears",
        "a disk that was slow once never counts as healthy again",
        (
            Patch(
                _HEALTH,
                "            self.state = DiskState.HEALTHY\n            self._gave_up",
                "            self._gave_up",
            ),
        ),
        family="slow disks",
    ),
    Mutant(
        "idle-slow-disk-is-not-probed",
        "an idle node does not notice that its disk is quick again",
        (
            Patch(
                "ddb.node.storage.disk_monitor",
                "        if not self._health.flushing:\n",
                "        if False:\n",
            ),
        ),
        family="slow disks",
    ),
    Mutant(
        "slow-node-never-used",
        "LIST and COUNT expect nothing of slow nodes, though no others are left",
        (
            Patch(
                "ddb.gateway.listing.scatter_gather",
                "for worst in (Condition.UP, Condition.SLOW):",
                "for worst in (Condition.UP,):",
            ),
            Patch(
                "ddb.gateway.listing.scatter_gather",
                "if condition is not Condition.DOWN]",
                "if condition is Condition.SUSPECT]",
            ),
        ),
        family="slow disks",
    ),
    Mutant(
        "slow-node-announces-nothing",
        "callers hear of a slow disk only when they ping the node",
        (
            Patch(
                _NODE,
                "        self.announce(DiskNotice(disk, give_up))\n",
                "",
            ),
        ),
        family="slow disks",
    ),
)
