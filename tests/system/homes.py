"""Reads the copies that the nodes of a running cluster store."""

from typing import Any

import msgspec

from ddb.record.codec import decode, is_live, peek
from ddb.record.state import State
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import END, Ring, partition_of
from ddb.wire.messages import (
    GetStatus,
    ReadReplica,
    ReplicaState,
    SameVersion,
    Scan,
    ScanPage,
    Status,
)
from tests.cluster import Cluster
from tests.system.digests import read_digests, unequal_homes
from tests.system.peer import NODE_ID, Peer

_ROWS = 2000


class Homes:
    """Reads the copies of a cluster. The nodes that a method reads must be up."""

    def __init__(self, cluster: Cluster) -> None:
        self.ring = Ring(tuple(f"db-{number}" for number in range(cluster.nodes)))
        self._cluster = cluster

    def peer(self, name: str, node_id: int = NODE_ID) -> Peer:
        """Connect to a node. Raises `OSError` where it does not run."""
        return Peer(self._cluster.port + 1 + int(name.removeprefix("db-")), self.ring, node_id)

    def facts(self, name: str) -> dict[str, Any]:
        """Return a node's status document. Raises `OSError` where it does not run."""
        with self.peer(name) as peer:
            reply = peer.ask(GetStatus())
        assert isinstance(reply, Status), reply
        return msgspec.json.decode(reply.json, type=dict[str, Any])

    def counter(self, counter: str) -> int:
        """Return a counter, summed over all nodes."""
        return sum(self.facts(name)["counters"][counter] for name in self.ring.names)

    def hints(self) -> int:
        """Return the number of hints on all nodes."""
        return sum(each["count"] for name in self.ring.names for each in self.facts(name)["hints"])

    def settled(self) -> bool:
        """Whether every node is ready and none has a hint."""
        try:
            return self.hints() == 0 and all(
                self.facts(name)["state"] == "ready" for name in self.ring.names
            )
        except OSError:
            return False

    def state(self, name: str, key: bytes) -> State:
        """Return a node's state of a record."""
        with self.peer(name) as peer:
            reply = peer.ask(ReadReplica(key, NEVER))
        if isinstance(reply, SameVersion):
            return State()
        assert isinstance(reply, ReplicaState), reply
        return decode(reply.state)

    def states(self, key: bytes) -> tuple[State, State]:
        """Return the state of a record on each home."""
        first, second = self.ring.cell(key).homes
        return self.state(first, key), self.state(second, key)

    def unequal(self) -> set[int]:
        """Return the partitions whose digests differ between the homes."""
        tables = {}
        for name in self.ring.names:
            with self.peer(name) as peer:
                tables[name] = read_digests(peer)
        return unequal_homes(self.ring, tables)

    def copies(self, name: str) -> dict[bytes, tuple[Dot, bool]]:
        """Return newest dot and liveness of each copy on a home, by key."""
        found: dict[bytes, tuple[Dot, bool]] = {}
        after: bytes | None = b""
        with self.peer(name) as peer:
            while after is not None:
                reply = peer.ask(Scan(after, END, _ROWS, ()))
                assert isinstance(reply, ScanPage), reply
                for key, head in zip(reply.keys, reply.heads, strict=True):
                    if name in self.ring.cell(key).homes:
                        found[key] = (peek(head), is_live(head))
                after = reply.keys[-1] if reply.more else None
        return found

    def differing(self) -> list[bytes]:
        """Return the keys whose copies differ between the homes."""
        stored = {name: self.copies(name) for name in self.ring.names}
        keys = {key for copies in stored.values() for key in copies}
        return [
            key
            for key in sorted(keys)
            for cell in (self.ring.cell(key),)
            if stored[cell.home].get(key) != stored[cell.partner].get(key)
        ]

    def ids(self, cell: tuple[str, str, str], count: int, stem: str) -> list[str]:
        """Return `count` ids of records in `cell` (home, second home, standby)."""
        found: list[str] = []
        number = 0
        while len(found) < count:
            candidate = f"{stem}-{number}"
            if self.ring.cells[partition_of(candidate.encode())].nodes == cell:
                found.append(candidate)
            number += 1
        return found

    def __repr__(self) -> str:
        return f"<Homes of {self.ring!r}>"
