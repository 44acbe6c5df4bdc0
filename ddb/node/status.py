"""The status document of a node."""

import datetime as dt
from dataclasses import dataclass, fields

from ddb.node.context import NodeContext
from ddb.node.membership.bootstrap import Bootstrap
from ddb.node.repair.handoff import Handoff
from ddb.node.repair.refill import Refiller
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.disk_monitor import DiskMonitor
from ddb.node.storage.disk_space import SpaceGuard


@dataclass(frozen=True, slots=True)
class StatusReporter:
    """Composes the status document from the parts of one node."""

    context: NodeContext
    bootstrap: Bootstrap
    ballots: Ballots
    replica: Acceptor
    handoff: Handoff
    refiller: Refiller
    space: SpaceGuard
    disk_monitor: DiskMonitor

    def document(self, votes: bool) -> dict[str, object]:
        """Return the document, ready for JSON.

        Args:
            votes: True where the node is ready; False where it is still joining.
        """
        counters = self.context.counters
        return {
            "name": self.context.name,
            "node_id": self.ballots.node_id,
            "state": "ready" if votes else "joining",
            "stage": self.bootstrap.identity.stage.name.lower(),
            "waits_for": list(self.bootstrap.missing),
            "refill": self.refiller.status(),
            "room": self.space.room().name.lower(),
            "scarcest": self.space.scarcest.value,
            "disk": self.disk_monitor.state.name.lower(),
            "damaged_partitions": len(self.replica.copies.damage.partitions),
            "records": self.replica.digests.live,
            "hints": self._hints(),
            "disk_bytes": self.context.store.disk_bytes(),
            "counters": {field.name: getattr(counters, field.name) for field in fields(counters)},
        }

    def _hints(self) -> list[dict[str, object]]:
        """Return number and start of the hints, by the home that they wait for."""
        hints = self.replica.hints
        counts: dict[str, int] = {}
        since_ms: dict[str, int] = {}
        for number, count in hints.counts.items():
            target = self.handoff.target(number)
            counts[target] = counts.get(target, 0) + count
            since_ms[target] = min(since_ms.get(target, 1 << 62), hints.since_ms[number])
        return [
            {"for": target, "count": counts[target], "since": _iso(since_ms[target])}
            for target in sorted(counts)
        ]


def _iso(milliseconds: int) -> str:
    moment = dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
    return moment.isoformat(timespec="seconds")
