"""What is known to be decided of the states that this node holds.

A node stores its own copy after its partner: a state whose newest dot is its own is decided. Of
another node's states a replica cannot tell; a read that finds no second copy would have to make
one. So nodes tell each other, some times a second, up to which counter all their rounds have ended
(compare a leader's commit index, Ongaro and Ousterhout 2014): while a node is out, what it had
coordinated until a moment before is read without a write.
"""

import msgspec

from ddb.node.storage.store import Family, Store
from ddb.record.hybrid_clock import millisecond_of
from ddb.record.version import Dot

SPANS_KEY = b"spans"
PERSIST_INTERVAL_MS = 1_000
"""Milliseconds of a peer's counter between what is kept of its word on disk."""
MAX_SPANS_PER_PEER = 8
"""Lives of one peer that are remembered."""

Span = tuple[int, int]
"""All rounds of one life of a node with a counter above the first and up to the second."""


class CommitIndex:
    """The node `node_id`'s knowledge of its own and its peers' rounds."""

    def __init__(self, node_id: int, store: Store) -> None:
        self._node_id = node_id
        self._store = store
        found = store.get(Family.META, SPANS_KEY)
        self._spans: dict[int, list[Span]] = (
            msgspec.msgpack.decode(found, type=dict[int, list[Span]]) if found else {}
        )
        self._kept = {peer: spans[-1][1] for peer, spans in self._spans.items()}

    def told(self, peer: int, since: int, upto: int) -> None:
        """A peer said that its rounds in between have ended."""
        spans = self._spans.setdefault(peer, [])
        if spans and spans[-1][0] == since:
            spans[-1] = (since, max(upto, spans[-1][1]))
        else:
            spans.append((since, upto))
            del spans[:-MAX_SPANS_PER_PEER]
        if millisecond_of(upto) - millisecond_of(self._kept.get(peer, 0)) >= PERSIST_INTERVAL_MS:
            self._kept[peer] = upto
            # Whether it is kept matters only for speed: nobody waits for it.
            self._store.commit([(Family.META, SPANS_KEY, msgspec.msgpack.encode(self._spans))])

    def covers(self, dot: Dot) -> bool:
        """Whether a state of which this is the newest dot is known to be decided."""
        counter, node = dot
        if node == self._node_id:
            return True
        for since, upto in self._spans.get(node, ()):  # noqa: SIM110 - asked of each row of a LIST
            if since < counter <= upto:
                return True
        return False

    def __repr__(self) -> str:
        return f"<Decided {len(self._spans)} peers>"
