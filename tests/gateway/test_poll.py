"""Polls, where it matters how long they wait."""

import asyncio
from dataclasses import dataclass

from ddb.gateway.poll import Poll
from ddb.wire.clock import SystemClock
from ddb.wire.messages import Reply, Request, Tallies, Tally
from ddb.wire.ports import Condition, Silent
from ddb.wire.timeouts import DEFAULT

PATIENCE = DEFAULT.scan_s

CLOCK = SystemClock()
CELLS = frozenset({("db-0", "db-1", "db-2")})


@dataclass(slots=True)
class Nodes:
    """A transport to nodes that answer after a while, or never."""

    conditions: dict[str, Condition]
    delays: dict[str, float]

    def ask(
        self, to: str, _request: Request, *, deadline: float, patience: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        return asyncio.ensure_future(self._answer(to, patience))

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        return self.conditions[to]

    async def _answer(self, to: str, patience: float) -> Reply:
        await asyncio.sleep(min(patience, self.delays.get(to, patience)))
        if to not in self.delays:
            raise Silent(to)
        return Tallies(b"", {})


async def polled(nodes: Nodes) -> tuple[set[str], float]:
    """Who answered a poll, and the seconds that it took."""
    began = CLOCK.now()
    answers = await Poll(nodes, CLOCK).ask(Tally(), CELLS, began + 1)
    return set(answers), CLOCK.now() - began


def test_silent_node_is_not_waited_for_when_the_others_are_enough() -> None:
    """Of two nodes that were silent the one that answers ends the wait for the other."""
    nodes = Nodes(
        {"db-0": Condition.UP, "db-1": Condition.SUSPECT, "db-2": Condition.SUSPECT},
        {"db-0": 0.0, "db-1": 0.005},
    )
    answered, took = asyncio.run(polled(nodes))
    assert answered == {"db-0", "db-1"}
    assert took < PATIENCE


def test_node_that_is_up_is_waited_for() -> None:
    """A node that merely takes its time is heard, though two others have answered."""
    nodes = Nodes(
        dict.fromkeys(("db-0", "db-1", "db-2"), Condition.UP),
        {"db-0": 0.0, "db-1": 0.0, "db-2": PATIENCE / 2},
    )
    answered, _ = asyncio.run(polled(nodes))
    assert answered == {"db-0", "db-1", "db-2"}
