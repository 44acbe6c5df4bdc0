"""The commit index: tells which stored states are decided, by this node's and its peers' rounds.

A coordinator stores its own copy after its peer has. So a state whose newest dot is this node's own
is decided. Another node's state may be undecided, so a read without a second copy must write one.
To avoid that write, each node sends its commit index to its peers ten times a second. A Raft leader
does the same (Ongaro and Ousterhout 2014). While a coordinator is down, its peers then read its
older states without a write.
"""

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from ddb.node.storage.store import Family, Store
from ddb.record.hybrid_clock import millisecond_of
from ddb.record.version import Dot

SPANS_KEY = b"spans"
PERSIST_INTERVAL_MS = 1_000
"""Milliseconds of a peer's counter between two writes of its span to disk. Too low: each notice
costs a write. Too high: after a restart, reads of that peer's last states cost a write."""
MAX_SPANS_PER_PEER = 8
"""Boots of one peer whose spans a node keeps. Too low: reads of its older states cost a write. Too
high: LIST compares each row with more spans."""

Span = tuple[int, int]
"""All rounds of one boot of a node with a counter above the first and up to the second."""

EVERY_COUNTER = (-1,)
"""The bounds of all counters, as `bounds_of` returns them."""


class CommitIndex:
    """The ended rounds of the node `node_id` and of its peers."""

    def __init__(self, node_id: int, store: Store) -> None:
        self._node_id = node_id
        self._store = store
        stored = store.get(Family.META, SPANS_KEY)
        self._spans: dict[int, list[Span]] = (
            msgspec.msgpack.decode(stored, type=dict[int, list[Span]]) if stored else {}
        )
        self._bounds = {peer: bounds_of(spans) for peer, spans in self._spans.items()}
        self._persisted = {peer: spans[-1][1] for peer, spans in self._spans.items()}

    def advance(self, peer: int, first_counter: int, upto: int) -> None:
        """Record that all rounds of a peer above `first_counter` and up to `upto` have ended.

        `peer` is a node id. `first_counter` is the same for all notices of one boot.
        """
        spans = self._spans.setdefault(peer, [])
        if spans and spans[-1][0] == first_counter:
            spans[-1] = (first_counter, max(upto, spans[-1][1]))
        else:
            spans.append((first_counter, upto))
            del spans[:-MAX_SPANS_PER_PEER]
        self._bounds[peer] = bounds_of(spans)
        last_ms = millisecond_of(self._persisted.get(peer, 0))
        if millisecond_of(upto) - last_ms >= PERSIST_INTERVAL_MS:
            self._persisted[peer] = upto
            # The write saves later work only, so no caller waits for it.
            self._store.commit([(Family.META, SPANS_KEY, msgspec.msgpack.encode(self._spans))])

    def covers(self, dot: Dot) -> bool:
        """Whether a state with this newest dot is decided. False if that is uncertain."""
        counter, node = dot
        if node == self._node_id:
            return True
        return bisect_left(self._bounds.get(node, ()), counter) & 1 == 1

    def covers_each(self, dots: Iterable[tuple[int, int]]) -> bytes:
        """Return one byte per dot: 1 where `covers` is true for it, else 0."""
        bounds = self._bounds | {self._node_id: EVERY_COUNTER}
        return bytes([bisect_left(bounds.get(node, ()), counter) & 1 for counter, node in dots])

    def __repr__(self) -> str:
        return f"<CommitIndex of {len(self._spans)} peers>"


def bounds_of(spans: Iterable[Span]) -> tuple[int, ...]:
    """Return the bounds of the union of `spans`, in order.

    A counter lies in the union if an odd number of bounds is below it. One search finds that.
    """
    bounds: list[int] = []
    for first_counter, upto in sorted(spans):
        if not bounds or bounds[-1] < first_counter:
            bounds += (first_counter, max(first_counter, upto))
        else:
            bounds[-1] = max(bounds[-1], upto)
    return tuple(bounds)
