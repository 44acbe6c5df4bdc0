"""The coordinator: counters, refusals and timing that the simulation does not check."""

import asyncio
from pathlib import Path

import pytest

from ddb.node.consensus.quorum_peers import Expired
from ddb.record.change import Kind
from ddb.record.codec import encode
from ddb.record.version import Dot
from ddb.ring.ring import key_of
from ddb.wire.messages import CoordinateChange, Overloaded, Undecided
from ddb.wire.ports import Silent, Unreachable
from tests.fakes.node import RING, voting
from tests.node.test_memory import full

NAME, FINGERPRINT = b"client-named", b"abcd"
KEY = next(key for key in map(key_of, map(str, range(99))) if "db-0" in RING.cell(key).homes)


def test_a_single_node_does_not_refuse_a_keyed_change(tmp_path: Path) -> None:
    """A node without a peer does not refuse a keyed change because its copy is full."""
    deletion = CoordinateChange(KEY, Kind.DELETE, b"", (), NAME, FINGERPRINT, True, b"sender", 0)

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            node.replica.offer(KEY, encode(full(Dot(7, 1))))
            handling = node.handle(deletion, node.coordinator._clock.now() + 0.05)
            assert isinstance(handling, asyncio.Future)
            assert await handling == Undecided(True, "neither peer replied")

    asyncio.run(scenario())


@pytest.mark.parametrize("failure", [Silent, Unreachable])
def test_messages_of_a_repair_do_not_count_as_an_operation(
    tmp_path: Path, failure: type[Silent | Unreachable]
) -> None:
    """The node counts the messages of a repair and those of a read apart."""

    async def scenario() -> None:
        async with voting(tmp_path, failure) as (node, _):
            coordinator, counters = node.coordinator, node.coordinator.counters
            with pytest.raises(Expired):
                await coordinator.refresh(KEY, coordinator._clock.now() + 0.05)
            sent = failure is Silent
            assert (counters.operations, counters.peer_requests) == (0, 0)
            assert (counters.repair_requests > 0) is sent
            repaired = counters.repair_requests
            with pytest.raises(Expired):
                await coordinator.read(KEY, coordinator._clock.now() + 0.05)
            assert counters.operations == 1
            assert (counters.peer_requests > 0) is sent
            assert counters.repair_requests == repaired

    asyncio.run(scenario())


@pytest.mark.parametrize("failure", [Silent, Unreachable])
def test_a_node_without_peers_gives_up_at_once(
    tmp_path: Path, failure: type[Silent | Unreachable]
) -> None:
    """A coordinator whose peers both fail leaves the remaining time to the third node."""

    async def scenario() -> None:
        async with voting(tmp_path, failure) as (node, _):
            coordinator, counters = node.coordinator, node.coordinator.counters
            began = coordinator._clock.now()
            with pytest.raises(Expired, match="neither peer replied"):
                await coordinator.read(KEY, began + 60)
            assert counters.peer_requests == (2 if failure is Silent else 0)
            create = CoordinateChange(KEY, Kind.CREATE, b"{}", (), NAME, b"", True, b"sender", 0)
            handling = node.handle(create, began + 60)
            assert isinstance(handling, asyncio.Future)
            assert await handling == Undecided(True, "neither peer replied")
            assert counters.peer_requests == (4 if failure is Silent else 0)
            assert coordinator._clock.now() < began + 10

    asyncio.run(scenario())


def test_late_change_is_not_begun(tmp_path: Path) -> None:
    """The node refuses a change with too little time left, and one that waits too long."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            coordinator = node.coordinator

            def reply(left_s: float) -> object:
                deletion = CoordinateChange(
                    KEY, Kind.DELETE, b"", (), bytes(12), b"", False, b"sender", 0, 100
                )
                return node.handle(deletion, coordinator._clock.now() + left_s)

            assert isinstance(reply(0.09), Overloaded)
            coordinator.queue.enter(KEY)
            waiting = reply(0.13)
            assert isinstance(waiting, asyncio.Future)
            assert isinstance(await waiting, Overloaded)
            coordinator.queue.leave(KEY)
            assert coordinator.counters.rounds == 0

    asyncio.run(scenario())
