"""The two-home read: a GET from both homes of a record, without a coordinator.

Two of the cell's three nodes store a decided state, so any two nodes have the newest one. A
state that both homes store is decided. When the gateway asked for it, no newer state was decided.

The same read through a coordinator takes twice the message delays. It also takes 1.5 times the CPU
time, because its messages share fewer frames.
"""

import asyncio

from ddb.gateway.routing.node_calls import NodeCalls
from ddb.record.codec import peek
from ddb.ring.ring import Ring
from ddb.wire.messages import CoordinateGet, Reply
from ddb.wire.ports import Condition, Unreachable


class HomeRead:
    """Reads records from their homes."""

    def __init__(self, ring: Ring, calls: NodeCalls) -> None:
        self._ring = ring
        self._calls = calls
        self._repair: asyncio.Future[Reply | Unreachable | None] | None = None

    async def read(self, key: bytes, deadline: float) -> bytes | None:
        """Return the decided state of a record, encoded; empty: the record does not exist.

        None: a home did not reply, or the homes differ and the newer state may be undecided. A
        coordinator must then decide.
        """
        condition = self._calls.condition
        home, other = self._ring.cell(key).homes
        home_condition = condition(home)
        if home_condition is not Condition.UP and home_condition is not Condition.SLOW:
            return None
        if condition(other) is not home_condition:
            # One home is slow. The faster home and the standby are a quorum without it.
            return None
        replies = await self._calls.ask_homes(home, other, key, deadline)
        if replies is None:
            return None
        raw, is_decided, version = replies
        newest = peek(raw)
        if newest == version.dot:
            return raw
        # The homes differ, as they do after one returns and until it has its hints. A home may
        # call a state decided after the two other nodes have replaced it. So the gateway asks
        # both homes again, after the claim.
        if newest < version.dot:
            home, other, newest, is_decided = other, home, version.dot, version.decided
        replies = await self._calls.ask_homes(home, other, key, deadline) if is_decided else None
        if replies is None or peek(replies[0]) != newest or replies[2].dot > newest:
            return None
        self._start_repair(key, deadline)
        return replies[0]

    def _start_repair(self, key: bytes, deadline: float) -> None:
        """Have a coordinator bring the older home up to date; the read does not wait for it.

        At most one repair is in flight. After a home returns, many records differ, and their hints
        are on the way.
        """
        if self._repair is None or self._repair.done():
            home = self._ring.cell(key).home
            self._repair = asyncio.ensure_future(
                self._calls.ask(home, CoordinateGet(key), deadline)
            )

    def __repr__(self) -> str:
        return f"<HomeRead through {self._calls!r}>"
