"""The context of a node: its name, its ports and its counters, which all its parts share."""

import random
from dataclasses import dataclass, field

from ddb.node.metrics import NodeMetrics
from ddb.node.storage.store import Store
from ddb.ring.ring import Ring
from ddb.wire.ports import Clock, Transport
from ddb.wire.timeouts import DEFAULT, Timeouts


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class NodeContext:
    """One start of the node `name`. Parts that run per message copy its fields."""

    name: str
    ring: Ring
    store: Store
    transport: Transport
    """Requests to the other nodes."""
    clock: Clock
    rng: random.Random
    timeouts: Timeouts = DEFAULT
    counters: NodeMetrics = field(default_factory=NodeMetrics)

    def __repr__(self) -> str:
        return f"<NodeContext {self.name} of {', '.join(self.ring.names)}>"
