"""The replica: one node's copies, and the rules by which it promises and accepts.

The acceptor of CASPaxos, per record. A state is accepted under its newest dot; a promise is kept
in memory and is implied by the accepted state unless a newer one was made. Nothing said by a
replica to another process depends on a write that is not yet durable.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from ddb.node.replica.ballots import Ballots
from ddb.node.replica.damage import DAMAGE, DamageBook, Range
from ddb.node.replica.hint_index import HintIndex
from ddb.node.replica.partition_digests import PartitionDigests, added_up, partition_rows, walk
from ddb.node.replica.pending_writes import PendingWrites
from ddb.node.storage.store import Family, Put, Store, Unreadable, written
from ddb.record.codec import decode, peek, without_log
from ddb.record.hybrid_clock import millisecond_of
from ddb.record.state import DamagedState, State
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import Ring, partition_in
from ddb.wire.messages import (
    Accept,
    Accepted,
    Failed,
    HandoffResult,
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
"""Unfinished rounds remembered one by one; beyond that the floor covers them all."""


class Verdict(Enum):
    """What became of a state offered to this node."""

    STORED = "stored"
    """Accepted now or earlier; wait for `PendingWrites.durable` before saying so."""
    REFUSED = "refused"


class WrongCell(Exception):
    """This node is not one of the key's three: the caller's ring is not ours."""


class Acceptor:
    """The copies that the node `name` holds."""

    def __init__(self, name: str, ring: Ring, store: Store, ballots: Ballots) -> None:
        self.name = name
        self.hints = HintIndex()
        self.writes = PendingWrites(store)
        self.reads = 0
        """Reads asked of this node since it started, by gateways or peers."""
        self._ring = ring
        self._store = store
        self._ballots = ballots
        self._promises: dict[bytes, Dot] = {}
        self._watched: set[bytes] = set()
        self._families = tuple(
            Family.RECORDS if name in cell.homes else Family.HINTS if name == cell.standby else None
            for cell in ring.cells
        )
        self.damage = DamageBook(store, self._families)
        self.tallies = PartitionDigests(store, self.damage)
        for key, raw in walk(self.damage, Family.HINTS):
            self._hinted(key, raw, True)

    # What it holds.

    def family(self, key: bytes) -> Family:
        """Where this node keeps the key: as a home or as a standby. Raises `WrongCell`."""
        family = self._families[key[0] << 8 | key[1]]
        if family is None:
            raise WrongCell(f"{self.name} is not in the cell of partition {key[0] << 8 | key[1]}")
        return family

    def raw(self, key: bytes) -> bytes:
        """The encoded state of a key, durable or not; empty where absent. Raises `Unreadable`."""
        family = self._families[key[0] << 8 | key[1]] or self.family(key)
        if self.damage.ranges:
            self.damage.check(family, key)
        try:
            return self._store.get(family, key) or b""
        except Unreadable as unreadable:
            self.damage.found(unreadable)
            raise

    def damaged(self, key: bytes) -> bool:
        """Whether the key lies in a damaged range, where this node has no vote."""
        damage = self.damage
        return bool(damage.ranges) and damage.covers(self.family(key), key)

    def readable(self, key: bytes) -> bytes | None:
        """As `raw`, but None where the state cannot be read or decoded."""
        try:
            raw = self.raw(key)
            peek(raw)
        except Unreadable:
            return None
        except DamagedState:
            self.damage.found_undecodable(self.family(key), key)
            return None
        return raw

    def state(self, key: bytes) -> State:
        """The state of a key, durable or not. Raises `Unreadable`."""
        raw = self.raw(key)
        try:
            return decode(raw)
        except DamagedState as error:
            self.damage.found_undecodable(self.family(key), key)
            raise Unreadable(self.family(key), key, str(error)) from error

    def newest(self, key: bytes) -> Dot:
        """The newest dot of the key's state. Raises `Unreadable`."""
        return peek(self.raw(key))

    def promised(self, key: bytes) -> Dot:
        """The newest ballot promised or accepted; anything older is refused."""
        promise = self._promises.get(key, NEVER)
        return max(promise, self.newest(key))

    def unfinished(self, key: bytes) -> Dot:
        """The promise made for a round that has not been accepted here, or `NEVER`."""
        return self._promises.get(key, NEVER)

    # What it is asked.

    def read(self, request: ReadReplica, decided: Callable[[Dot], bool]) -> Handling:
        """Answer Read with a durable state; `decided` tells what is known of its newest dot."""
        self.reads += 1
        raw = self.raw(request.key)
        newest = peek(raw)
        same = newest == request.newest
        if not request.whole:
            raw = without_log(raw)
        return self.writes.said(
            request.key, SameVersion() if same else ReplicaState(raw, decided(newest))
        )

    def peek(self, request: ReadVersion, decided: Callable[[Dot], bool]) -> Handling:
        """Answer Peek with a durable state's dot; `decided` as in `read`."""
        newest = peek(self.raw(request.key))
        return self.writes.said(request.key, VersionOnly(newest, decided(newest)))

    def propose(self, request: Propose) -> Handling:
        """Answer Propose: store where the base is our state, otherwise promise and tell.

        Nothing is older than any base: who holds nothing has no say in what follows from it.
        """
        key, ballot = request.key, request.ballot
        self._ballots.observe(ballot.counter)
        raw = self.raw(key)
        newest = peek(raw)
        if newest == ballot:
            return self.writes.said(key, Accepted())
        if self._refuses(key, ballot, newest):
            return self.writes.said(key, self._refusal(key))
        if not raw or newest == request.base:
            self._put(key, request.state, ballot, raw)
            return self.writes.said(key, Accepted())
        self.promise(key, ballot)
        return self.writes.said(key, ReplicaState(raw), self._ballots.cover(ballot.counter))

    def accept(self, request: Accept) -> Handling:
        """Answer Accept."""
        self._ballots.observe(peek(request.state).counter)
        if self.offer(request.key, request.state) is Verdict.STORED:
            return self.writes.said(request.key, Accepted())
        return self.writes.said(request.key, self._refusal(request.key))

    async def hand(self, states: list[tuple[bytes, bytes]]) -> Reply:
        """Answer Hand: take home what may be taken, and say durably what is held of each."""
        marks: list[tuple[Dot, Dot] | None] = []
        for key, raw in states:
            if self.family(key) is not Family.RECORDS:
                return Failed(f"{self.name} is not a home of a key handed to it")
            ballot = peek(raw)
            self._ballots.observe(ballot.counter)
            held = self.readable(key)
            if held is None:
                marks.append(None)
                continue
            taken = self.replace(key, raw, ballot, held) is Verdict.STORED
            marks.append((ballot if taken else peek(held), self._bar(key)))
        await self.writes.keys_durable(key for key, _ in states)
        return HandoffResult(marks)

    # What it does.

    async def raise_floor(self, counter: int) -> None:
        """Refuse every ballot up to `counter`, of rounds under way too, and after a restart."""
        await self._ballots.raise_floor(counter)

    def promise(self, key: bytes, ballot: Dot) -> None:
        """Refuse every older ballot for `key` from now on."""
        if len(self._promises) >= MAX_PROMISES:
            self._ballots.floor = max(
                self._ballots.floor, *(dot.counter for dot in self._promises.values())
            )
            self._promises.clear()
        self._promises[key] = ballot

    def offer(self, key: bytes, raw: bytes) -> Verdict:
        """Accept an encoded state unless it is below our promise, floor or version.

        Refused, too, where the key's own state cannot be read.
        """
        ballot = peek(raw)
        held = self.readable(key)
        if held is None:
            return Verdict.REFUSED
        return self.replace(key, raw, ballot, held)

    def replace(self, key: bytes, raw: bytes, ballot: Dot, held: bytes) -> Verdict:
        """As `offer`, where the state's ballot and what is held now are known."""
        newest = peek(held)
        if newest == ballot:
            return Verdict.STORED
        if self._refuses(key, ballot, newest):
            return Verdict.REFUSED
        self._put(key, raw, ballot, held)
        return Verdict.STORED

    def restore(self, key: bytes, raw: bytes) -> None:
        """Take over a state onto a new disk, before this node votes."""
        held = self.raw(key)
        ballot = peek(raw)
        if ballot > peek(held):
            self._put(key, raw, ballot, held)

    async def rebuild(self, number: int, healed: Range, rows: Mapping[bytes, bytes]) -> bool:
        """Vouch again for a range of partition `number`, of which peers hold `rows`.

        The blocks that held it are gone by now. False where more damage was found meanwhile.
        Raises `StoreFailed`.
        """
        family, found = self.family(healed.start), self.damage.found_ranges
        await written(self._store.commit([(family, at, raw) for at, raw in rows.items()]))
        # Below, nothing waits until the tally or the hints of memory are as the rows are.
        restored = [*partition_rows(self.damage, family, number), *rows.items()]
        if self.damage.found_ranges != found:
            return False
        puts: list[Put] = [(Family.META, DAMAGE, self.damage.without(family, healed))]
        if family is Family.RECORDS:
            tally = added_up(number, restored)
            puts.append(tally)
            self.tallies.taken(tally)
        else:
            self.hints.forget(number)
            for at, raw in restored:
                self._hinted(at, raw, True)
        await written(self._store.commit(puts))
        if self.damage.found_ranges != found:
            return False
        self.damage.heal(family, healed)
        return True

    def watch(self, key: bytes) -> None:
        """Remember whether what is held of `key` changes until `unchanged` is asked."""
        self._watched.add(key)

    def unchanged(self, key: bytes) -> bool:
        """Whether nothing was stored under `key` since it was watched; ends the watch."""
        if key in self._watched:
            self._watched.remove(key)
            return True
        return False

    def drop(self, key: bytes, newest: Dot, confirmed: Dot) -> bool:
        """Let go of a hint whose state is still `newest` and all of which is behind `confirmed`.

        `confirmed` is the older of what both homes hold durably.
        """
        held = self.raw(key)
        if not held or peek(held) != newest or max(newest, self.unfinished(key)) > confirmed:
            return False
        if self.family(key) is not Family.HINTS:
            return False
        self._promises.pop(key, None)
        if not self._commit(key, ((Family.HINTS, key, None),)):
            return False
        self.hints.dropped(partition_in(key), key)
        return True

    def _refuses(self, key: bytes, ballot: Dot, newest: Dot) -> bool:
        return (
            ballot[0] <= self._ballots.floor
            or ballot < newest
            or ballot < self._promises.get(key, NEVER)
            or (bool(self.damage.ranges) and self.damaged(key))
        )

    def _bar(self, key: bytes) -> Dot:
        return max(self._promises.get(key, NEVER), Dot(self._ballots.floor, 0))

    def _refusal(self, key: bytes) -> Reply:
        newest = self.newest(key)
        return Rejected(max(self._bar(key), newest), newest)

    def _put(self, key: bytes, raw: bytes, ballot: Dot, held: bytes) -> None:
        family = self.family(key)
        promise = self._promises.get(key)
        if promise is not None and promise <= ballot:
            del self._promises[key]
        # The ballot was accepted, so a restart must not take anything older for new.
        self._ballots.cover(ballot[0])
        if family is Family.RECORDS:
            tally = self.tallies.changed(key, held, raw)
            if self._commit(key, ((family, key, raw), tally)):
                self.tallies.taken(tally)
        elif self._commit(key, ((family, key, raw),)):
            self._hinted(key, raw, not held)

    def _commit(self, key: bytes, puts: Sequence[Put]) -> bool:
        self._watched.discard(key)
        return self.writes.commit(key, puts)

    def _hinted(self, key: bytes, raw: bytes, new: bool) -> None:
        newest = peek(raw)
        self.hints.accepted(partition_in(key), key, newest, new, millisecond_of(newest.counter))

    def __repr__(self) -> str:
        return (
            f"<Replica {self.name} {self.tallies.live} live, {self.hints.total} hints,"
            f" {len(self._promises)} promises, {self.writes!r}, {self.damage!r}>"
        )
