"""Partners: the two other nodes of a record's cell, with either of which it can be decided."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Iterator

from ddb.node.metrics import Cause, NodeMetrics
from ddb.ring.ring import Ring
from ddb.wire.messages import Failed, Reply, Request
from ddb.wire.ports import Clock, Condition, Silent, Transport, Unreachable
from ddb.wire.timeouts import DEFAULT, Timeouts

MOST_DECLINED = 1000
"""Declined records remembered. With fewer than operations in progress, one that both partners
decline is tried until its deadline; more only take memory."""


class Expired(Exception):
    """Not decided: no time is left, or no partner. `maybe`: the change may yet take effect."""

    def __init__(self, maybe: bool, reason: str) -> None:
        super().__init__(reason)
        self.maybe = maybe


Others = tuple[str, str]
"""The other home, and the standby."""


def others_of(name: str, ring: Ring) -> tuple[Others | None, ...]:
    """By partition: whom the node `name` decides with where it is a home."""
    return tuple(
        (next(home for home in cell.homes if home != name), cell.standby)
        if name in cell.homes
        else None
        for cell in ring.cells
    )


class QuorumPeers:
    """Whom the node `name` decides with."""

    def __init__(
        self,
        name: str,
        ring: Ring,
        transport: Transport,
        clock: Clock,
        counters: NodeMetrics,
        timeouts: Timeouts = DEFAULT,
    ) -> None:
        self._name = name
        self._ring = ring
        self._transport = transport
        self._clock = clock
        self._counters = counters
        self._timeouts = timeouts
        self._failures: dict[str, float] = {}
        self._declined: OrderedDict[tuple[str, bytes], float] = OrderedDict()
        """When a partner last declined a record, as it does where its copy is damaged."""

    def of(self, key: bytes, since: float) -> Iterator[str]:
        """Whom to decide with, best first, each time in the light of what is known by then.

        Whoever was silent `since` then comes last, even if it was heard of: it may hear nothing.
        """
        tried: dict[str, int] = {
            name: 0 for name in self._ring.cell(key).nodes if name != self._name
        }
        while True:
            best = min(
                tried,
                key=lambda name: (
                    tried[name],
                    self._useless_since(name, key, since),
                    self._transport.condition(name),
                ),
            )
            tried[best] += 1
            yield best
            if all(tried.values()):
                tried = dict.fromkeys(tried, 0)

    async def ask(
        self, partner: str, request: Request, deadline: float, cause: Cause = Cause.OPERATION
    ) -> Reply | None:
        """The partner's reply; None where it may have acted without our knowing.

        A partner that was not reached at all is as good as one that refused to begin.
        """
        self._counters.asked(cause)
        try:
            reply = await self._transport.ask(
                partner, request, deadline=deadline, timeout_s=self._timeouts.partner_s
            )
        except Silent:
            self.silent(partner)
            return None
        except Unreachable as unreachable:
            self.silent(partner)
            self._counters.asked(cause, -1)
            return Failed(str(unreachable))
        self._failures.pop(partner, None)
        return reply

    def silent(self, partner: str) -> float:
        """Take note that a partner was silent, or not to be reached; the moment."""
        self._failures[partner] = now = self._clock.now()
        return now

    def lost(self, key: bytes, since: float) -> bool:
        """Whether both partners were last silent, not reached, or declined `key` after `since`."""
        return all(
            self._useless_since(name, key, since)
            for name in self._ring.cell(key).nodes
            if name != self._name
        )

    def _useless_since(self, name: str, key: bytes, since: float) -> bool:
        return (
            self._failures.get(name, -math.inf) >= since
            or self._declined.get((name, key), -math.inf) >= since
        )

    def _decline(self, partner: str, key: bytes) -> None:
        self._declined[partner, key] = self._clock.now()
        self._declined.move_to_end((partner, key))
        if len(self._declined) > MOST_DECLINED:
            self._declined.popitem(last=False)

    async def failed(
        self, partner: str, key: bytes, since: float, maybe: bool, reply: Reply | None
    ) -> None:
        """Take note that a partner gave no answer that helps, but `reply`.

        Where it answered, that concerns this record alone: it may be well for all others.

        Raises `Expired` if neither has `since` then: whoever reaches neither may itself be the one
        cut off, and there is a third node to ask. Waits a moment unless the other partner looks no
        worse.
        """
        if reply is None:
            self.silent(partner)
        else:
            self._decline(partner, key)
        if self.lost(key, since):
            raise Expired(maybe, "neither partner answered")
        (other,) = (
            name for name in self._ring.cell(key).nodes if name not in (self._name, partner)
        )
        hopeful = self._transport.condition(other)
        if hopeful is Condition.DOWN or hopeful > self._transport.condition(partner):
            await asyncio.sleep(self._timeouts.hedge_s)

    def __repr__(self) -> str:
        return f"<Partners of {self._name}>"
