"""Polls, where it matters how long they wait."""

import asyncio
from dataclasses import dataclass

from ddb.gateway.listing.scatter_gather import ScatterGather
from ddb.runtime.system_clock import SystemClock
from ddb.wire.messages import Digests, GetDigests, Reply, Request
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
        self, to: str, _request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        return asyncio.ensure_future(self._answer(to, timeout_s))

    def condition(self, to: str) -> Condition:
        """As `Transport.condition`."""
        return self.conditions[to]

    async def _answer(self, to: str, timeout_s: float) -> Reply:
        await asyncio.sleep(min(timeout_s, self.delays.get(to, timeout_s)))
        if to not in self.delays:
            raise Silent(to)
        return Digests(b"", {})


async def polled(nodes: Nodes) -> tuple[set[str], float]:
    """Who answered a poll, and the seconds that it took."""
    began = CLOCK.now()
    answers = await ScatterGather(nodes, CLOCK).ask(GetDigests(), CELLS, began + 1)
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


def test_slow_node_is_not_asked_when_the_others_are_enough() -> None:
    """A node whose disk is slow is left alone while two others are up."""
    nodes = Nodes(
        {"db-0": Condition.UP, "db-1": Condition.UP, "db-2": Condition.SLOW},
        dict.fromkeys(("db-0", "db-1", "db-2"), 0.0),
    )
    answered, _ = asyncio.run(polled(nodes))
    assert answered == {"db-0", "db-1"}
    assert ScatterGather(nodes, CLOCK).out(CELLS) == ("db-2",)


def test_slow_nodes_are_as_good_as_others_where_no_others_are_enough() -> None:
    """Where all disks are slow every node is asked and waited for, as if all were up."""
    nodes = Nodes(
        {"db-0": Condition.UP, "db-1": Condition.SLOW, "db-2": Condition.SLOW},
        {"db-0": 0.0, "db-1": 0.0, "db-2": PATIENCE / 2},
    )
    answered, _ = asyncio.run(polled(nodes))
    assert answered == {"db-0", "db-1", "db-2"}
    assert ScatterGather(nodes, CLOCK).out(CELLS) == ()


def test_node_that_turns_slow_is_not_waited_for_any_longer() -> None:
    """A poll goes on without a node that reports a slow disk once the others have answered."""
    nodes = Nodes(dict.fromkeys(("db-0", "db-1", "db-2"), Condition.UP), {"db-0": 0.0, "db-1": 0.0})

    async def scenario() -> tuple[set[str], float]:
        def turn() -> None:
            nodes.conditions["db-2"] = Condition.SLOW

        asyncio.get_running_loop().call_later(0.005, turn)
        return await polled(nodes)

    answered, took = asyncio.run(scenario())
    assert answered == {"db-0", "db-1"}
    assert took < PATIENCE * 0.8


def test_node_that_is_up_is_waited_for() -> None:
    """A node that merely takes its time is heard, though two others have answered."""
    nodes = Nodes(
        dict.fromkeys(("db-0", "db-1", "db-2"), Condition.UP),
        {"db-0": 0.0, "db-1": 0.0, "db-2": PATIENCE / 2},
    )
    answered, _ = asyncio.run(polled(nodes))
    assert answered == {"db-0", "db-1", "db-2"}
