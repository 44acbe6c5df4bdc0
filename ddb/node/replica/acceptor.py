"""The acceptor of CASPaxos: one node's copies, and the rules by which it promises and accepts.

Each record is a consensus instance of its own. The acceptor accepts a state under the state's
newest dot, which is its ballot. The accepted state implies a promise. A newer promise is kept in
memory only; `ddb.node.replica.ballots` makes it safe to lose. No reply leaves the node before the
state behind it is durable.
"""

from collections.abc import Callable, Sequence
from enum import Enum

from ddb.node.replica.ballots import Ballots
from ddb.node.replica.copies import Copies
from ddb.node.replica.hint_index import HintIndex
from ddb.node.replica.partition_digests import PartitionDigests, walk
from ddb.node.replica.pending_writes import PendingWrites
from ddb.node.storage.store import Family, Put, Store, Unreadable
from ddb.record.codec import peek, without_log
from ddb.record.hybrid_clock import millisecond_of
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import Ring, partition_in
from ddb.wire.messages import (
    Accept,
    Accepted,
    Propose,
    ReadReplica,
    ReadVersion,
    Rejected,
    ReplicaState,
    Reply,
    SameVersion,
    VersionOnly,
)
from ddb.wire.ports import Handling

MAX_PROMISES = 100_000
"""Promises kept in memory, one per key; at this number the floor rises above them all.

Too low: the raised floor rejects rounds in flight. Too high: promises of abandoned rounds fill the
memory.
"""


class Verdict(Enum):
    """The acceptor's decision on a state."""

    STORED = "stored"
    """Accepted, now or earlier; a reply must wait for `PendingWrites.in_flight`."""
    REFUSED = "refused"
    """Not accepted: the ballot is too old, or the key lies in a damaged range."""


# Each change compares with these. To read a member from its class costs 80 ns.
STORED = Verdict.STORED
RECORDS = Family.RECORDS


class Acceptor:
    """The copies of the node `name`, and the promises on them."""

    def __init__(self, name: str, ring: Ring, store: Store, ballots: Ballots) -> None:
        self.name = name
        self.copies = Copies(name, ring, store)
        self._store = store
        self.hints = HintIndex()
        self.writes = PendingWrites(store)
        self.reads = 0
        """Reads that gateways and peers have sent to this node since it started."""
        self._ballots = ballots
        self._promises: dict[bytes, Dot] = {}
        self._watched: set[bytes] = set()
        self.digests = PartitionDigests(store, self.copies.damage)
        hints = walk(self.copies.damage, Family.HINTS)
        for key, raw in self.copies.damage.states(Family.HINTS, hints):
            self.index_hint(key, raw, True)

    # Promises.

    def promised(self, key: bytes) -> Dot:
        """Return the newest ballot promised or accepted; older ones are rejected."""
        promise = self._promises.get(key, NEVER)
        return max(promise, self.copies.newest(key))

    def open_promise(self, key: bytes) -> Dot:
        """Return the promise to a round that has stored nothing here, or `NEVER`."""
        return self._promises.get(key, NEVER)

    def bar(self, key: bytes) -> Dot:
        """Return the newer of promise and floor. A floor, of node 0, rejects its counter."""
        return max(self._promises.get(key, NEVER), Dot(self._ballots.floor, 0))

    def promise(self, key: bytes, ballot: Dot) -> None:
        """Refuse every older ballot for `key` from now on."""
        if len(self._promises) >= MAX_PROMISES:
            self._ballots.floor = max(
                self._ballots.floor, *(dot.counter for dot in self._promises.values())
            )
            self._promises.clear()
        self._promises[key] = ballot

    async def raise_floor(self, counter: int) -> None:
        """Refuse every ballot up to `counter`, in rounds in flight too, and after a restart."""
        await self._ballots.raise_floor(counter)

    def observe(self, ballot: Dot) -> None:
        """Make this node's next ballots greater than `ballot`."""
        self._ballots.observe(ballot.counter)

    # Requests from peers and gateways.

    def read(self, request: ReadReplica, decided: Callable[[Dot], bool]) -> Handling:
        """Answer ReadReplica once the state is durable.

        Args:
            decided: whether this node's commit index covers a dot.
        """
        self.reads += 1
        raw = self.copies.raw(request.key)
        newest = peek(raw)
        same = newest == request.newest
        if not request.whole:
            raw = without_log(raw)
        return self.writes.reply_when_durable(
            request.key, SameVersion() if same else ReplicaState(raw, decided(newest))
        )

    def peek(self, request: ReadVersion, decided: Callable[[Dot], bool]) -> Handling:
        """Answer ReadVersion once the state is durable; `decided` as in `read`."""
        newest = peek(self.copies.raw(request.key))
        return self.writes.reply_when_durable(request.key, VersionOnly(newest, decided(newest)))

    def propose(self, request: Propose) -> Handling:
        """Answer Propose: accept the state, reject it, or promise and send the own state.

        The acceptor accepts where the proposal's base is its own state. It also accepts where it
        has no state: an absent one is older than any base.
        """
        key, ballot = request.key, request.ballot
        self._ballots.observe(ballot.counter)
        raw = self.copies.raw(key)
        newest = peek(raw)
        if newest == ballot:
            return self.writes.reply_when_durable(key, Accepted())
        if self._refuses(key, ballot, newest):
            return self.writes.reply_when_durable(key, self._rejection(key))
        if not raw or newest == request.base:
            self._put(key, request.state, ballot, raw)
            return self.writes.reply_when_durable(key, Accepted())
        self.promise(key, ballot)
        return self.writes.reply_when_durable(
            key, ReplicaState(raw), self._ballots.cover(ballot.counter)
        )

    def accept(self, request: Accept) -> Handling:
        """Answer Accept once the state is durable, or with a rejection."""
        self._ballots.observe(peek(request.state).counter)
        if self.offer(request.key, request.state) is STORED:
            return self.writes.reply_when_durable(request.key, Accepted())
        return self.writes.reply_when_durable(request.key, self._rejection(request.key))

    # Changes.

    def offer(self, key: bytes, raw: bytes) -> Verdict:
        """Accept an encoded state unless promise, floor, state or damage forbid it."""
        ballot = peek(raw)
        stored = self.copies.readable(key)
        if stored is None:
            return Verdict.REFUSED
        return self.replace(key, raw, ballot, stored)

    def replace(self, key: bytes, raw: bytes, ballot: Dot, stored: bytes) -> Verdict:
        """Like `offer`, for a caller that has read the copy.

        Args:
            ballot: the newest dot of `raw`.
            stored: the key's present encoded state.
        """
        newest = peek(stored)
        if newest == ballot:
            return STORED
        if self._refuses(key, ballot, newest):
            return Verdict.REFUSED
        self._put(key, raw, ballot, stored)
        return STORED

    def restore(self, key: bytes, raw: bytes) -> None:
        """Store a newer state on a new disk, before this node votes.

        Raises:
            Unreadable: the disk already has a damaged copy.
        """
        stored = self.copies.readable(key)
        if stored is None:
            raise Unreadable(self.copies.family(key), key, "the new disk has a damaged copy")
        ballot = peek(raw)
        if ballot > peek(stored):
            self._put(key, raw, ballot, stored)

    def index_hint(self, key: bytes, raw: bytes, new: bool) -> None:
        """Note a stored hint in `hints`.

        Args:
            new: True where the key had no hint before, False where the hint changed.
        """
        newest = peek(raw)
        self.hints.accepted(partition_in(key), key, newest, new, millisecond_of(newest.counter))

    def drop(self, key: bytes, newest: Dot, confirmed: Dot) -> bool:
        """Drop a hint that both homes have; whether it was dropped.

        The hint stays where its state has changed from `newest`. It also stays where the state or
        a promise is newer than `confirmed`.

        Args:
            confirmed: the older of the newest dots that the two homes have durably.
        """
        stored = self.copies.raw(key)
        if not stored or peek(stored) != newest or max(newest, self.open_promise(key)) > confirmed:
            return False
        if self.copies.family(key) is not Family.HINTS:
            return False
        self._promises.pop(key, None)
        if not self._commit(key, ((Family.HINTS, key, None),)):
            return False
        self.hints.dropped(partition_in(key), key)
        return True

    def watch(self, key: bytes) -> None:
        """Note changes of the key's copy until `unchanged` is called."""
        self._watched.add(key)

    def unchanged(self, key: bytes) -> bool:
        """Whether the copy is the same since `watch`; ends the watch."""
        if key in self._watched:
            self._watched.remove(key)
            return True
        return False

    def _refuses(self, key: bytes, ballot: Dot, newest: Dot) -> bool:
        return (
            ballot[0] <= self._ballots.floor
            or ballot < newest
            or ballot < self._promises.get(key, NEVER)
            or (bool(self.copies.damage.ranges) and self.copies.damaged(key))
        )

    def _rejection(self, key: bytes) -> Reply:
        newest = self.copies.newest(key)
        return Rejected(max(self.bar(key), newest), newest)

    def _put(self, key: bytes, raw: bytes, ballot: Dot, stored: bytes) -> None:
        family = self.copies.family(key)
        promise = self._promises.get(key)
        if promise is not None and promise <= ballot:
            del self._promises[key]
        # An accepted ballot is a promise: after a restart the floor must cover it.
        self._ballots.cover(ballot[0])
        if family is RECORDS:
            digest = self.digests.change(key, stored, raw)
            if self._commit(key, ((family, key, raw), digest)):
                self.digests.apply(digest)
        elif self._commit(key, ((family, key, raw),)):
            self.index_hint(key, raw, not stored)

    def _commit(self, key: bytes, puts: Sequence[Put]) -> bool:
        self._watched.discard(key)
        return self.writes.commit(key, puts)

    def __repr__(self) -> str:
        return (
            f"<Acceptor {self.name} {self.digests.live} live, {self.hints.total} hints,"
            f" {len(self._promises)} promises, {self.writes!r}, {self.copies.damage!r}>"
        )
