"""Hinted handoff: a standby gives home what it holds in a home's stead, and then lets go of it.

A hint is dropped only when *both* homes durably hold a state at least as new as the hint and as
any promise made on it: one home's word is not enough, since the hint may be one of the two copies
that the record's quorum rests on. A home that refuses, because it promised something newer or has
restarted, is brought up by a full round instead.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import chain

from ddb.node.consensus.coordinator import Coordinator, Outrun
from ddb.node.consensus.quorum_peers import Expired
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.partition_digests import partition_rows
from ddb.node.storage.store import Family, Unreadable
from ddb.record.codec import peek
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import Ring, partition_in
from ddb.wire.messages import HandoffBatch, HandoffResult
from ddb.wire.ports import Clock, Condition, Silent, Transport, Unreachable

BOTH = 2
IDLE_BATCH_HINTS = 256
BUSY_BATCH_HINTS = 16
"""Hints handed over at once. Whoever asks a home meanwhile waits for all that have reached it."""
MAX_BATCH_BYTES = 1024 * 1024
IDLE_BATCHES_IN_FLIGHT = 3
"""Batches on their way at a time while no client asks: as one is taken, the next is got ready. Of
two standbys that is six batches, for which a home takes less than anybody's patience."""
IDLE_SWEEP_INTERVAL_S = 0.1
"""Seconds between looks at the hints when there is nothing to hand off."""
BUSY_SWEEP_INTERVAL_S = 0.02
"""The same while some are held here alone: COUNT has to walk the partitions of those."""
IDLE_PAUSE_FACTOR = 0.1
"""Seconds of rest per second of handing off while no client asks this node for anything; whatever
else is on its way goes on."""
BUSY_PAUSE_FACTOR = 4.0
"""The same while clients do: at half of what a cluster can do, handing off may take no more."""
CLIENT_QUIET_S = 0.2
"""Seconds without any such question after which none is expected."""
BATCH_BUDGET_S = 5.0
HOME_TIMEOUT_S = 1.0
ROUND_BUDGET_S = 1.0
MAX_CONCURRENT_ROUNDS = 16

Hint = tuple[bytes, bytes]
"""A key and its encoded state."""
Marks = list[tuple[Dot, Dot] | None]
"""As `HandoffResult.marks`."""


class Handoff:
    """Hands off the hints of one node, for as long as it runs."""

    def __init__(
        self,
        ring: Ring,
        replica: Acceptor,
        ballots: Ballots,
        coordinator: Coordinator,
        transport: Transport,
        clock: Clock,
    ) -> None:
        self._ring = ring
        self._replica = replica
        self._ballots = ballots
        self._coordinator = coordinator
        self._transport = transport
        self._clock = clock
        self._targets: dict[int, str] = {}
        self._asked = 0
        self._busy_until = clock.now()

    def target(self, number: int) -> str:
        """The home that the hints of a partition wait for, as far as this node can tell."""
        homes = self._ring.cells[number].homes
        worst = max(homes, key=self._transport.condition)
        if self._transport.condition(worst) is not Condition.UP:
            self._targets[number] = worst
        return self._targets.get(number, homes[1])

    async def run(self) -> None:
        """Hand off whatever can be, for ever. Raises `StoreFailed`.

        Looks at what is there rather than at events, so that a home that was up all along, and
        hints found at start, are served like any other.
        """
        while True:
            try:
                dropped = await self.sweep()
            except Unreadable:
                # Noted as damaged: the next sweep passes over it.
                dropped = 0
            if not dropped:
                await asyncio.sleep(
                    BUSY_SWEEP_INTERVAL_S
                    if self._replica.hints.any_alone
                    else IDLE_SWEEP_INTERVAL_S
                )

    async def sweep(self) -> int:
        """One pass over all hints of which a home can be reached; how many were let go of."""
        dropped = 0
        for homes, partitions in self._reachable().items():
            if len(homes) == BOTH:
                dropped += (
                    await self._offer(homes, chain.from_iterable(map(self._hints_of, partitions)))
                    or 0
                )
            else:
                await self._keep(homes[0], partitions)
        return dropped

    async def _keep(self, home: str, partitions: list[int]) -> None:
        """Bring the only home that is up to hold whatever is held here.

        Nothing can be let go of. But COUNT has to walk each partition of which no home that is up
        holds all, and with many hints that takes longer than anybody waits.
        """
        hints = self._replica.hints
        caught_up = [number for number in partitions if not hints.missed(number, home)]
        if await self._offer((home,), chain.from_iterable(map(self._alone_in, caught_up))) is None:
            return
        for number in sorted(set(partitions).difference(caught_up)):
            hints.begin_pass(number, home)
            if await self._offer((home,), self._hints_of(number)) is None:
                return
            hints.end_pass(number, home)

    async def _offer(self, homes: tuple[str, ...], offered: Iterator[Hint]) -> int | None:
        """Hand over batch by batch; how many were let go of, None where it did not get through."""
        dropped, lost = 0, False
        under_way: deque[asyncio.Task[int | None]] = deque()
        began = self._clock.now()
        try:
            while True:
                room = len(under_way) < (1 if self._busy() else IDLE_BATCHES_IN_FLIGHT)
                if room and not lost and (batch := self._batch(offered)):
                    under_way.append(asyncio.ensure_future(self._hand(homes, batch)))
                    continue
                if not under_way:
                    return None if lost else dropped
                done = await under_way.popleft()
                lost = lost or done is None
                dropped += done or 0
                if lost:
                    # After silence no rest: it would be for as long, and longer.
                    continue
                rest = BUSY_PAUSE_FACTOR if self._busy() else IDLE_PAUSE_FACTOR
                await asyncio.sleep(rest * (self._clock.now() - began))
                began = self._clock.now()
        finally:
            for each in under_way:
                each.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def _busy(self) -> bool:
        """Whether clients have asked this node for anything lately."""
        now, asked = self._clock.now(), self._coordinator.counters.operations + self._replica.reads
        if asked != self._asked:
            self._asked, self._busy_until = asked, now + CLIENT_QUIET_S
        return now < self._busy_until

    def _batch(self, offered: Iterator[Hint]) -> list[Hint]:
        """The next hints to hand over together; empty at the end."""
        batch: list[Hint] = []
        size, most = 0, BUSY_BATCH_HINTS if self._busy() else IDLE_BATCH_HINTS
        for key, raw in offered:
            batch.append((key, raw))
            size += len(raw)
            if len(batch) >= most or size >= MAX_BATCH_BYTES:
                break
        return batch

    def _reachable(self) -> dict[tuple[str, ...], list[int]]:
        partitions: dict[tuple[str, ...], list[int]] = {}
        for number in sorted(self._replica.hints.counts):
            self.target(number)
            conditions = {
                home: self._transport.condition(home) for home in self._ring.cells[number].homes
            }
            # A slow home would keep the other one waiting, unless that is as slow.
            best = min(conditions.values())
            up = tuple(home for home, condition in conditions.items() if condition is best)
            if best <= Condition.SLOW:
                partitions.setdefault(up, []).append(number)
        return partitions

    def _alone_in(self, number: int) -> Iterator[Hint]:
        for key in self._replica.hints.alone(number):
            raw = self._replica.readable(key)
            if raw:
                yield key, raw

    def _hints_of(self, number: int) -> Iterator[Hint]:
        return partition_rows(self._replica.damage, Family.HINTS, number)

    async def _hand(
        self, homes: tuple[str, ...], batch: list[Hint], *, anew: bool = False
    ) -> int | None:
        """Offer a batch to one home or both; how many were let go of, None without an answer.

        `anew`: what was held back is offered for the second time.
        """
        marks = await self._take(homes, batch)
        if marks is None:
            return None
        dropped, held_back = 0, []
        for (key, raw), *answers in zip(batch, *marks, strict=True):
            newest = peek(raw)
            marked = {
                home: mark[0] if mark else NEVER for home, mark in zip(homes, answers, strict=True)
            }
            self._replica.hints.kept(partition_in(key), key, newest, marked)
            held = [mark for mark in answers if mark]
            if len(held) < len(answers) or self._replica.damaged(key):
                # A home, or this node, has no vote on this record until its range is rebuilt.
                continue
            for _, bar in held:
                # Or the rounds of a clock that is behind would stay below it for ever.
                self._ballots.observe(bar.counter)
            if len(homes) == BOTH and self._drop(key, newest, min(held)[0]):
                dropped += 1
            elif self._replica.newest(key) == newest and min(held)[0] < max(
                newest, self._replica.unfinished(key)
            ):
                held_back.append(key)
        self._coordinator.counters.handed_off += dropped
        for start in range(0, len(held_back), MAX_CONCURRENT_ROUNDS):
            if not await self._refresh(held_back[start : start + MAX_CONCURRENT_ROUNDS]):
                return None
        refreshed = [(key, raw) for key in held_back if (raw := self._replica.raw(key))]
        if anew or not refreshed:
            return dropped
        # At once: until a pass comes by again, they would be held by no home as far as is known.
        more = await self._hand(homes, refreshed, anew=True)
        return None if more is None else dropped + more

    async def _take(self, homes: tuple[str, ...], batch: list[Hint]) -> list[Marks] | None:
        """What each home says that it holds of a batch, in order; None where one does not."""
        deadline = self._clock.now() + BATCH_BUDGET_S
        self._coordinator.counters.repair_requests += len(homes)
        asked = [
            self._transport.ask(
                home, HandoffBatch(batch), deadline=deadline, timeout_s=HOME_TIMEOUT_S
            )
            for home in homes
        ]
        replies = await asyncio.gather(*asked, return_exceptions=True)
        marks: list[Marks] = []
        for reply in replies:
            if isinstance(reply, BaseException) and not isinstance(reply, Silent | Unreachable):
                raise reply
            if not isinstance(reply, HandoffResult):
                return None
            marks.append(reply.marks)
        return marks

    def _drop(self, key: bytes, newest: Dot, confirmed: Dot) -> bool:
        """As `Acceptor.drop`, but for keys of which this node coordinates a round.

        With the hint the replica forgets what it had accepted. A round that began below that would
        find nothing here that forbids its end, and be decided though the homes have moved on.
        """
        return self._coordinator.queue.free(key) and self._replica.drop(key, newest, confirmed)

    async def _refresh(self, keys: list[bytes]) -> bool:
        """Bring homes up by full rounds, together; whether all were decided in time.

        Not by fighting a client's operation: that brings them up as well, or the next pass does.
        """
        deadline = self._clock.now() + ROUND_BUDGET_S
        rounds = [self._coordinator.refresh(key, deadline) for key in keys]
        for done in await asyncio.gather(*rounds, return_exceptions=True):
            if isinstance(done, Expired):
                return False
            if isinstance(done, BaseException) and not isinstance(done, Outrun):
                raise done
        return True

    def __repr__(self) -> str:
        return f"<Handoff {self._replica.hints!r}>"
