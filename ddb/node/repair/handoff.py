"""Hinted handoff: a standby sends its hints to their homes, and drops them.

The standby drops a hint only when *both* homes durably store a state that is new enough. It must be
at least as new as the hint and as any promise on it. The answer of one home is not enough: the hint
may be half of the record's quorum. A home refuses a hint below a newer promise, and after a restart
one below its floor. For such a hint the standby runs a full round.
"""

import asyncio
from collections import deque
from collections.abc import Iterator

from ddb.node.consensus.coordinator import Coordinator
from ddb.node.consensus.proposer import Outrun
from ddb.node.consensus.quorum_peers import Expired
from ddb.node.context import NodeContext
from ddb.node.repair import handoff_pacing
from ddb.node.repair.handoff_pacing import HandoffPacing
from ddb.node.repair.hint_order import Hint, HintOrder
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.store import Unreadable
from ddb.record.codec import peek
from ddb.record.state import DamagedState
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import partition_in
from ddb.wire.messages import HandoffBatch, HandoffResult
from ddb.wire.ports import Condition, Silent, Unreachable

HOMES = 2
"""Homes of each record."""
BATCH_BUDGET_S = 5.0
"""Seconds until the deadline of a batch. Too low: a busy home drops batches that it could store.
Too high: a home stores batches that the standby has given up."""
HOME_TIMEOUT_S = 1.0
"""Seconds without a reply after which a home is silent. Too low: a slow flush ends the pass. Too
high: a dead home delays the pass."""
ROUND_BUDGET_S = 1.0
"""Seconds until the deadline of a round. Too low: rounds fail while a home flushes. Too high: one
contended record delays the pass."""
MAX_CONCURRENT_ROUNDS = 16
"""Rounds in flight at a time. Too low: refused hints take long. Too high: they delay clients."""

Marks = list[tuple[Dot, Dot] | None]
"""Newest dot and promise for each state of a batch, like `HandoffResult.marks`."""


class Handoff:
    """Hands off the hints of one node while it runs."""

    def __init__(
        self,
        context: NodeContext,
        replica: Acceptor,
        ballots: Ballots,
        coordinator: Coordinator,
    ) -> None:
        self._ring = context.ring
        self._transport = context.transport
        self._clock = context.clock
        self._counters = context.counters
        self._replica = replica
        self._ballots = ballots
        self._coordinator = coordinator
        self._targets: dict[int, str] = {}
        self._order = HintOrder(replica)
        self._pacing = HandoffPacing(replica, context.counters, context.clock)

    def target(self, number: int) -> str:
        """Return the home that the hints of partition `number` probably wait for."""
        homes = self._ring.cells[number].homes
        worst = max(homes, key=self._transport.condition)
        if self._transport.condition(worst) is not Condition.UP:
            self._targets[number] = worst
        return self._targets.get(number, homes[1])

    async def run(self) -> None:
        """Hand off hints for ever. Raises `StoreFailed`.

        Each pass reads the stored hints instead of following events. So it also serves hints from
        before a restart, and homes that were up all the time.
        """
        while True:
            try:
                dropped = await self.sweep()
            except (Unreadable, DamagedState):
                # The damage is recorded now, or the next pass records it; then passes skip it.
                dropped = 0
            if not dropped:
                await asyncio.sleep(self._pacing.sweep_interval(self._replica.hints.any_alone))

    async def sweep(self) -> int:
        """Offer each hint to its reachable homes, and return how many hints were dropped."""
        dropped = 0
        for homes, partitions in self._reachable().items():
            if len(homes) == HOMES:
                offered = self._order.alone_first(homes, partitions, frozenset(partitions))
                dropped += await self._offer(homes, offered) or 0
            else:
                await self._offer_to_one(homes[0], partitions)
        return dropped

    async def _offer_to_one(self, home: str, partitions: list[int]) -> None:
        """Copy the hints of `partitions` to their only reachable home.

        The standby drops none of them. But COUNT walks each partition that no reachable home
        stores completely. With many hints that takes longer than COUNT's deadline.
        """
        hints = self._replica.hints
        caught_up = [number for number in partitions if not hints.missed(number, home)]
        if await self._offer((home,), self._order.alone(caught_up)) is None:
            return
        reachable = frozenset(partitions)
        for number in sorted(reachable.difference(caught_up)):
            hints.begin_pass(number, home)
            offered = self._order.alone_first((home,), [number], reachable)
            if await self._offer((home,), offered) is None:
                return
            hints.end_pass(number, home)

    async def _offer(self, homes: tuple[str, ...], offered: Iterator[Hint]) -> int | None:
        """Send hints in batches, and return how many were dropped.

        Returns None after a batch without a reply; then it sends no further batch.
        """
        dropped, lost = 0, False
        in_flight: deque[asyncio.Task[int | None]] = deque()
        started = self._clock.now()
        try:
            while True:
                room = len(in_flight) < self._pacing.batches_in_flight()
                if room and not lost and (batch := self._batch(offered)):
                    in_flight.append(asyncio.ensure_future(self._send(homes, batch)))
                    continue
                if not in_flight:
                    return None if lost else dropped
                batch_drops = await in_flight.popleft()
                lost = lost or batch_drops is None
                dropped += batch_drops or 0
                if lost:
                    # No pause after a timeout: its length follows from the timeout itself.
                    continue
                await asyncio.sleep(self._pacing.pause_factor() * (self._clock.now() - started))
                started = self._clock.now()
        finally:
            for each in in_flight:
                each.cancel()
            if in_flight:
                await asyncio.gather(*in_flight, return_exceptions=True)

    def _batch(self, offered: Iterator[Hint]) -> list[Hint]:
        """Return the next batch of hints, empty at the end."""
        batch: list[Hint] = []
        size, max_hints = 0, self._pacing.batch_hints()
        for key, raw in offered:
            batch.append((key, raw))
            size += len(raw)
            if len(batch) >= max_hints or size >= handoff_pacing.MAX_BATCH_BYTES:
                break
        return batch

    def _reachable(self) -> dict[tuple[str, ...], list[int]]:
        """Group the partitions that have hints by their reachable homes."""
        partitions: dict[tuple[str, ...], list[int]] = {}
        for number in sorted(self._replica.hints.counts):
            self.target(number)
            conditions = {
                home: self._transport.condition(home) for home in self._ring.cells[number].homes
            }
            # A slow home delays a batch to both, so it takes part only if both are slow.
            best = min(conditions.values())
            up = tuple(home for home, condition in conditions.items() if condition is best)
            if best <= Condition.SLOW:
                partitions.setdefault(up, []).append(number)
        return partitions

    async def _send(
        self, homes: tuple[str, ...], batch: list[Hint], *, is_retry: bool = False
    ) -> int | None:
        """Send a batch to `homes`, and return how many hints were dropped.

        Returns None where a home did not reply, or a round missed its deadline.

        Args:
            homes: one home or both. Only both together let a hint be dropped.
            is_retry: False for a first offer: refused hints get a round each and a retry. True
                for that retry: refused hints wait for the next pass.
        """
        marks = await self._request(homes, batch)
        if marks is None:
            return None
        dropped, refused = 0, []
        for (key, raw), *answers in zip(batch, *marks, strict=True):
            newest = peek(raw)
            stored = {
                home: mark[0] if mark else NEVER for home, mark in zip(homes, answers, strict=True)
            }
            self._replica.hints.kept(partition_in(key), key, newest, stored)
            readable = [mark for mark in answers if mark]
            if len(readable) < len(answers) or self._replica.copies.damaged(key):
                # That home, or this node, has no vote on the record before a rebuild.
                continue
            for _, bar in readable:
                # Otherwise a node with a slow clock issues ballots below it for ever.
                self._ballots.observe(bar.counter)
            if len(homes) == HOMES and self._drop(key, newest, min(readable)[0]):
                dropped += 1
            elif self._replica.copies.newest(key) == newest and min(readable)[0] < max(
                newest, self._replica.open_promise(key)
            ):
                refused.append(key)
        self._counters.handed_off += dropped
        for start in range(0, len(refused), MAX_CONCURRENT_ROUNDS):
            if not await self._refresh(refused[start : start + MAX_CONCURRENT_ROUNDS]):
                return None
        refreshed = [(key, raw) for key in refused if (raw := self._replica.copies.readable(key))]
        if is_retry or not refreshed:
            return dropped
        # Retry at once: until then the hint index counts these hints as stored by no home.
        more = await self._send(homes, refreshed, is_retry=True)
        return None if more is None else dropped + more

    async def _request(self, homes: tuple[str, ...], batch: list[Hint]) -> list[Marks] | None:
        """Send a batch and return the marks of each home, in order; None where one sent none.

        The batch waits until its states are durable. A home may have proposed one of them itself.
        It then counts its own copy as decided, and a crash must not take the other copy.
        """
        await self._replica.writes.wait_keys(key for key, _ in batch)
        deadline = self._clock.now() + BATCH_BUDGET_S
        self._counters.repair_requests += len(homes)
        requests = [
            self._transport.ask(
                home, HandoffBatch(batch), deadline=deadline, timeout_s=HOME_TIMEOUT_S
            )
            for home in homes
        ]
        replies = await asyncio.gather(*requests, return_exceptions=True)
        marks: list[Marks] = []
        for reply in replies:
            if isinstance(reply, BaseException) and not isinstance(reply, Silent | Unreachable):
                raise reply
            if not isinstance(reply, HandoffResult):
                return None
            marks.append(reply.marks)
        return marks

    def _drop(self, key: bytes, newest: Dot, confirmed: Dot) -> bool:
        """Like `Acceptor.drop`, unless this node coordinates a round on the key.

        With the hint the acceptor forgets which ballot it accepted. Then it would accept an older
        round of this node, although the homes store a newer state.
        """
        return self._coordinator.queue.free(key) and self._replica.drop(key, newest, confirmed)

    async def _refresh(self, keys: list[bytes]) -> bool:
        """Run a full round on each key, and return whether none missed its deadline.

        A round gives way to a client's operation. That operation, or the next pass, updates the
        homes too.
        """
        deadline = self._clock.now() + ROUND_BUDGET_S
        rounds = [self._coordinator.refresh(key, deadline) for key in keys]
        for outcome in await asyncio.gather(*rounds, return_exceptions=True):
            if isinstance(outcome, Expired):
                return False
            if isinstance(outcome, BaseException) and not isinstance(outcome, Outrun):
                raise outcome
        return True

    def __repr__(self) -> str:
        return f"<Handoff {self._replica.hints!r}>"
