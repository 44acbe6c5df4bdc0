"""The gate: a bounded number of places, the operations that wait for one, and the refusals."""

import asyncio
from collections import OrderedDict, deque
from enum import Enum

MOST_WAITING = 4096
"""Operations that wait at one gate. Too low: a burst is refused that could be served. Too high:
they take memory, some 2 KiB each."""
REFUSED_PER_ANSWER = 0.25
"""Refusals for each answer.

Too low: refusals come late. Too high: they take the gateway's time from the operations in flight.
At 1, four times the saturating number of clients cost a third of the rate.
"""
MOST_CREDIT = 64.0
"""Most refusals that are saved up. Too low: refusals wait although the gateway has time."""
MOST_DUE = 4096
"""Refusals that wait for their pace; one more lets the oldest leave at once. Too low: refusals take
the gateway's time: with 1,024, a crowd of 2,048 clients cost three quarters of the rate. Too high:
they come many seconds late, also to clients that no longer wait."""
TICK_S = 0.01
"""Seconds between checks of the refusals that wait for their pace."""


class Refusals:
    """The pace of refusals: that of the answers to other operations.

    A refusal costs the gateway a third of an answer. So a client that asks again at once would
    otherwise take its time from the operations in flight.
    """

    def __init__(self, per_s: float) -> None:
        """`per_s`: refusals in each second in addition to those for answers."""
        self._per_s = per_s
        self._due: deque[asyncio.Future[None]] = deque()
        self._credit = MOST_CREDIT
        self._ticking = False

    async def turn(self) -> None:
        """Wait until one more refusal may leave."""
        allowed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._due.append(allowed)
        if len(self._due) > MOST_DUE:
            self._allow()
        self._spend()
        await allowed

    def earn(self) -> None:
        """Add the credit that one answered operation earns."""
        if self._credit != MOST_CREDIT:
            self._credit = min(MOST_CREDIT, self._credit + REFUSED_PER_ANSWER)
        if self._due:
            self._spend()

    def _allow(self) -> bool:
        """Allow the refusal that has waited longest; return whether its request still waits."""
        allowed = self._due.popleft()
        if allowed.done():
            return False
        allowed.set_result(None)
        return True

    def _spend(self) -> None:
        while self._due and self._credit >= 1.0:
            if self._allow():
                self._credit -= 1.0
        if self._due and not self._ticking:
            self._ticking = True
            self._due[0].get_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._credit += self._per_s * TICK_S
        self._spend()

    def __repr__(self) -> str:
        return f"<Refusals {len(self._due)} due>"


class Kind(Enum):
    """What an operation does. Each kind has a queue of its own, since their waits differ."""

    READ = 0
    CHANGE = 1


class Gate:
    """Places for `most` operations, and the operations that wait for one.

    The kinds take turns where both wait. In one queue, reads that may wait for long would make each
    change wait for too long.
    """

    __slots__ = ("_last", "_queues", "inside", "most", "waiting")

    def __init__(self, most: int) -> None:
        self.most = most
        self.inside = 0
        self.waiting = 0
        """How many wait, in all queues."""
        self._queues: dict[Kind, OrderedDict[asyncio.Future[bool], None]] = {}
        """Made when an operation waits: most gates are of one change, and no other comes."""
        self._last = Kind.READ

    def enter(self) -> bool:
        """Take a free place if no operation waits for one; the caller must then `leave`."""
        if self.inside >= self.most or self.waiting:
            return False
        self.inside += 1
        return True

    async def wait(self, seconds: float, kind: Kind, *, first: bool = False) -> bool:
        """Wait for a place in order of arrival; return whether one came in time.

        `first`: the operation has waited elsewhere already, and goes before all others of its kind.
        """
        queue = self._queues.setdefault(kind, OrderedDict())
        if seconds <= 0.0 or len(queue) >= MOST_WAITING:
            return False
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[bool] = loop.create_future()
        queue[mine] = None
        self.waiting += 1
        if first:
            queue.move_to_end(mine, last=False)
        timer = loop.call_later(seconds, _expire, mine)
        try:
            return await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled() and mine.result():
                # The place came together with the cancellation: the next one gets it.
                self.leave()
            raise
        finally:
            if mine in queue:
                del queue[mine]
                self.waiting -= 1
            timer.cancel()

    def leave(self) -> None:
        """Return a place; the next waiting operation gets it."""
        self.inside -= 1
        while self.waiting and self.inside < self.most:
            first = self._next()
            if not first.done():
                self.inside += 1
                first.set_result(True)

    def _next(self) -> asyncio.Future[bool]:
        other = Kind.READ if self._last is Kind.CHANGE else Kind.CHANGE
        if self._queues.get(other):
            self._last = other
        self.waiting -= 1
        return self._queues[self._last].popitem(last=False)[0]

    def __repr__(self) -> str:
        return f"<Gate {self.inside} of {self.most}, {self.waiting} waiting>"


def _expire(waiting: asyncio.Future[bool]) -> None:
    if not waiting.done():
        waiting.set_result(False)
