"""What a node has done, counted since it started."""

from dataclasses import dataclass
from enum import Enum

from ddb.record.state import State
from ddb.record.version import Order, compare


class Cause(Enum):
    """Why another node is asked for something."""

    OPERATION = "operation"
    """For a gateway, which waits for it."""
    REPAIR = "repair"
    """For the sake of copies that are not where they belong."""


@dataclass(slots=True)
class NodeMetrics:
    """Plain counts; exposed by name in the node's status."""

    operations: int = 0
    """Operations coordinated for gateways."""
    peer_requests: int = 0
    """Requests sent to other nodes in order to decide operations."""
    repair_requests: int = 0
    """Requests sent to other nodes in order to hand off and refill."""
    rounds: int = 0
    """Ballots issued."""
    contended: int = 0
    """Ballots that met a newer promise."""
    stale_repairs: int = 0
    """Replicas found behind another and brought up to it."""
    filled: int = 0
    """Replicas found without the record and given it."""
    concurrent_repairs: int = 0
    """Replicas found on a branch that an interrupted coordinator left, and settled."""
    handed_off: int = 0
    """Hints that both homes confirmed and this node let go of."""
    refilled: int = 0
    """Records taken over from others onto a new disk."""
    rebuilt: int = 0
    """Records taken back from others in place of damaged copies."""

    def asked(self, cause: Cause, requests: int = 1) -> None:
        """Count requests to other nodes; fewer than none where they were not sent after all."""
        if cause is Cause.REPAIR:
            self.repair_requests += requests
        else:
            self.peer_requests += requests

    def repaired(self, winner: State, loser: State) -> None:
        """Count a replica that was found behind `winner`, and how."""
        if not loser.version:
            # A standby beginning a hint, or a home that missed the record's beginning.
            self.filled += 1
        elif compare(winner.version, loser.version) is Order.CONCURRENT:
            self.concurrent_repairs += 1
        elif winner.newest != loser.newest:
            self.stale_repairs += 1
