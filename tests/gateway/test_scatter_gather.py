"""How long a scatter-gather waits for which nodes."""

import asyncio

from ddb.gateway.listing.scatter_gather import ScatterGather
from ddb.runtime.system_clock import SystemClock
from ddb.wire.messages import Digests, GetDigests, Reply
from ddb.wire.ports import Condition, Silent
from ddb.wire.timeouts import DEFAULT
from tests.fakes.transport import Asked, FakeTransport

SCAN_TIMEOUT_S = DEFAULT.scan_s

CLOCK = SystemClock()
NAMES = ("db-0", "db-1", "db-2")
CELLS = frozenset({NAMES})


def nodes_after(conditions: dict[str, Condition], delays: dict[str, float]) -> FakeTransport:
    """Return a transport to nodes that reply after `delays`, by name, or never."""

    async def reply(asked: Asked) -> Reply:
        await asyncio.sleep(min(asked.timeout_s, delays.get(asked.to, asked.timeout_s)))
        if asked.to not in delays:
            raise Silent(asked.to)
        return Digests(b"", {})

    return FakeTransport(reply, conditions)


def operation(nodes: FakeTransport) -> ScatterGather:
    """Return the requests of one operation, whose deadline is a second away."""
    return ScatterGather(nodes, CLOCK, CLOCK.now() + 1)


async def gathered(nodes: FakeTransport) -> tuple[set[str], float]:
    """Return the nodes that replied, and the seconds until the end."""
    began = CLOCK.now()
    answers = await operation(nodes).ask(GetDigests(), CELLS)
    return set(answers), CLOCK.now() - began


def test_silent_node_is_not_waited_for_when_the_others_are_enough() -> None:
    """The reply of one suspect node ends the wait for the other suspect node."""
    nodes = nodes_after(
        {"db-0": Condition.UP, "db-1": Condition.SUSPECT, "db-2": Condition.SUSPECT},
        {"db-0": 0.0, "db-1": 0.005},
    )
    answered, took = asyncio.run(gathered(nodes))
    assert answered == {"db-0", "db-1"}
    assert took < SCAN_TIMEOUT_S


def test_slow_node_is_not_asked_when_the_others_are_enough() -> None:
    """The gateway does not ask a slow node while two others are up."""
    nodes = nodes_after(
        {"db-0": Condition.UP, "db-1": Condition.UP, "db-2": Condition.SLOW},
        dict.fromkeys(NAMES, 0.0),
    )
    answered, _ = asyncio.run(gathered(nodes))
    assert answered == {"db-0", "db-1"}
    assert operation(nodes).unexpected(CELLS) == ("db-2",)


def test_slow_nodes_are_asked_when_too_few_are_up() -> None:
    """If too few nodes are up, the gateway asks slow nodes and waits for them."""
    nodes = nodes_after(
        {"db-0": Condition.UP, "db-1": Condition.SLOW, "db-2": Condition.SLOW},
        {"db-0": 0.0, "db-1": 0.0, "db-2": SCAN_TIMEOUT_S / 2},
    )
    answered, _ = asyncio.run(gathered(nodes))
    assert answered == {"db-0", "db-1", "db-2"}
    assert operation(nodes).unexpected(CELLS) == ()


def test_node_that_turns_slow_is_not_waited_for_any_longer() -> None:
    """A node that becomes slow ends the wait once two others have replied."""
    nodes = nodes_after(dict.fromkeys(NAMES, Condition.UP), {"db-0": 0.0, "db-1": 0.0})

    async def scenario() -> tuple[set[str], float]:
        def turn() -> None:
            nodes.conditions["db-2"] = Condition.SLOW

        asyncio.get_running_loop().call_later(0.005, turn)
        return await gathered(nodes)

    answered, took = asyncio.run(scenario())
    assert answered == {"db-0", "db-1"}
    assert took < SCAN_TIMEOUT_S * 0.8


def test_node_that_is_up_is_waited_for() -> None:
    """The gateway waits for a node that is up, though two others have replied."""
    nodes = nodes_after(
        dict.fromkeys(NAMES, Condition.UP),
        {"db-0": 0.0, "db-1": 0.0, "db-2": SCAN_TIMEOUT_S / 2},
    )
    answered, _ = asyncio.run(gathered(nodes))
    assert answered == {"db-0", "db-1", "db-2"}


def test_operation_waits_for_a_late_node_once() -> None:
    """A node that kept an operation waiting does not delay its next requests."""
    nodes = nodes_after(
        dict.fromkeys(NAMES, Condition.UP),
        {"db-0": 0.0, "db-1": 0.0, "db-2": SCAN_TIMEOUT_S * 0.8},
    )

    async def scenario() -> tuple[list[set[str]], float]:
        requests = operation(nodes)
        answered = [set(await requests.ask(GetDigests(), CELLS))]
        began = CLOCK.now()
        answered += [set(await requests.ask(GetDigests(), CELLS)) for _ in range(3)]
        assert requests.unexpected(CELLS) == ("db-2",)
        return answered, CLOCK.now() - began

    answered, took = asyncio.run(scenario())
    assert answered == [{"db-0", "db-1", "db-2"}] + [{"db-0", "db-1"}] * 3
    assert took < SCAN_TIMEOUT_S * 0.8


def test_late_node_is_waited_for_when_the_others_are_too_few() -> None:
    """The gateway waits for a late node again after another node has become unreachable."""
    nodes = nodes_after(
        dict.fromkeys(NAMES, Condition.UP),
        {"db-0": 0.0, "db-1": 0.0, "db-2": SCAN_TIMEOUT_S * 0.8},
    )

    async def scenario() -> set[str]:
        requests = operation(nodes)
        await requests.ask(GetDigests(), CELLS)
        nodes.conditions["db-1"] = Condition.DOWN
        return set(await requests.ask(GetDigests(), CELLS))

    assert asyncio.run(scenario()) == {"db-0", "db-2"}


def test_operation_waits_for_late_nodes_again_if_others_lack_rows() -> None:
    """A late node's rows can be the only ones that complete a damaged range."""
    nodes = nodes_after(
        dict.fromkeys(NAMES, Condition.UP),
        {"db-0": 0.0, "db-1": 0.0, "db-2": SCAN_TIMEOUT_S * 0.8},
    )

    async def scenario() -> set[str]:
        requests = operation(nodes)
        await requests.ask(GetDigests(), CELLS)
        requests.wait_for_late()
        return set(await requests.ask(GetDigests(), CELLS))

    assert asyncio.run(scenario()) == {"db-0", "db-1", "db-2"}
