"""Metrics: what a node has done since its process started."""

from dataclasses import dataclass
from enum import Enum

from ddb.record.state import State
from ddb.record.version import Order, compare


class Cause(Enum):
    """Why a node sends a request to a peer."""

    OPERATION = "operation"
    """A gateway waits for the result."""
    REPAIR = "repair"
    """A copy is missing, outdated or on the wrong node."""


@dataclass(slots=True)
class NodeMetrics:
    """Counters; the node's status shows each under its name here."""

    operations: int = 0
    """Operations that this node coordinated for gateways."""
    peer_requests: int = 0
    """Requests to peers that decide operations."""
    repair_requests: int = 0
    """Requests to peers for handoff, rebuild and refill."""
    rounds: int = 0
    """Ballots issued."""
    combined: int = 0
    """Changes that shared the round of an earlier change on the same record."""
    contended: int = 0
    """Ballots that a peer rejected for a newer promise."""
    stale_repairs: int = 0
    """Replicas that had an older state and received the newer one."""
    filled: int = 0
    """Replicas that had no state of the record and received one."""
    concurrent_repairs: int = 0
    """Replicas that had a concurrent state, from an interrupted round, and received the winner."""
    handed_off: int = 0
    """Hints that this node dropped after both homes confirmed them."""
    refilled: int = 0
    """Records that this node copied from peers to a new disk."""
    rebuilt: int = 0
    """Records that this node copied from peers in place of damaged ones."""

    def count_requests(self, cause: Cause, requests: int = 1) -> None:
        """Count requests to peers; a negative number takes back requests that were not sent."""
        if cause is Cause.REPAIR:
            self.repair_requests += requests
        else:
            self.peer_requests += requests

    def count_repair(self, winner: State, loser: State) -> None:
        """Count a replica that had `loser` and receives `winner`."""
        if not loser.version:
            # A standby that begins a hint, or a home that missed the record's creation.
            self.filled += 1
        elif compare(winner.version, loser.version) is Order.CONCURRENT:
            self.concurrent_repairs += 1
        elif winner.newest != loser.newest:
            self.stale_repairs += 1
