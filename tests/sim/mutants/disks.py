"""Bugs in how a node measures its disk, and in how callers use a node with a slow disk."""

from tests.sim.mutants.plant import Mutant, Patch

_HEALTH = "ddb.node.storage.disk_health"
_NODE = "ddb.node.node"

DISKS = (
    Mutant(
        "slow-disk-says-ready",
        "a node reports its disk healthy although flushes are slow",
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
        "an idle node does not notice that its disk is fast again",
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
        "LIST and COUNT ignore slow nodes although no others are left",
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
        "callers learn of a slow disk only from their pings",
        (
            Patch(
                _NODE,
                "        self.announce(DiskNotice(disk, give_up))\n",
                "",
            ),
        ),
        family="slow disks",
    ),
    Mutant(
        "requests-wait-for-a-stalled-disk",
        "a caller leaves its requests in flight with a node whose disk is stalled",
        (Patch("ddb.wire.link", "        if notice.give_up:\n", "        if False:\n"),),
        family="slow disks",
    ),
)
