"""The gate: a bounded number of places, the operations that wait for one, and the refusals."""

import asyncio
from collections import OrderedDict, deque

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
TICK_S = 0.01
"""Seconds between checks of the refusals that wait for their pace."""


class Refusals:
    """Operations that have waited too long, refused at the pace at which others are answered.

    A client that asks again at once would otherwise take the gateway's time from the operations in
    flight, since a refusal costs it a third of an answer.
    """

    def __init__(self, per_s: float) -> None:
        """`per_s`: refusals in each second in addition to those for answers."""
        self._per_s = per_s
        self._due: deque[asyncio.Future[bool]] = deque()
        self._credit = MOST_CREDIT
        self._ticking = False

    def add(self, waiting: asyncio.Future[bool]) -> None:
        """Refuse this operation as soon as the credit allows."""
        self._due.append(waiting)
        self._refuse()

    async def turn(self) -> None:
        """Wait until the credit allows one more refusal."""
        allowed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.add(allowed)
        await allowed

    def earn(self) -> None:
        """Add the credit that one answered operation earns."""
        self._credit = min(MOST_CREDIT, self._credit + REFUSED_PER_ANSWER)
        if self._due:
            self._refuse()

    def _refuse(self) -> None:
        while self._due and self._credit >= 1.0:
            self._credit -= 1.0
            waiting = self._due.popleft()
            if not waiting.done():
                waiting.set_result(False)
        if self._due and not self._ticking:
            self._ticking = True
            self._due[0].get_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._credit += self._per_s * TICK_S
        self._refuse()

    def __repr__(self) -> str:
        return f"<Refusals {len(self._due)} due>"


class Gate:
    """Places for `most` operations, and a queue of those that wait for one."""

    __slots__ = ("_refusals", "_waiting", "inside", "most")

    def __init__(self, most: int, refusals: Refusals) -> None:
        self.most = most
        self.inside = 0
        self._refusals = refusals
        self._waiting: OrderedDict[asyncio.Future[bool], None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def enter(self) -> bool:
        """Take a free place if no operation waits for one; the caller must then `leave`."""
        if self.inside >= self.most or self._waiting:
            return False
        self.inside += 1
        return True

    async def wait(self, seconds: float) -> bool:
        """Wait for a place in order of arrival; return whether one came in time."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[bool] = loop.create_future()
        timer = None
        if seconds <= 0.0 or len(self._waiting) >= MOST_WAITING:
            self._refusals.add(mine)
        else:
            self._waiting[mine] = None
            timer = loop.call_later(seconds, self._expire, mine)
        try:
            return await mine
        except asyncio.CancelledError:
            self._waiting.pop(mine, None)
            if mine.done() and not mine.cancelled() and mine.result():
                # The place came together with the cancellation: the next one gets it.
                self.leave()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def leave(self) -> None:
        """Return a place; the next waiting operation gets it."""
        self.inside -= 1
        while self._waiting and self.inside < self.most:
            first, _ = self._waiting.popitem(last=False)
            if not first.done():
                self.inside += 1
                first.set_result(True)

    def _expire(self, waiting: asyncio.Future[bool]) -> None:
        if waiting in self._waiting:
            del self._waiting[waiting]
            self._refusals.add(waiting)

    def __repr__(self) -> str:
        return f"<Gate {self.inside} of {self.most}, {len(self._waiting)} waiting>"
