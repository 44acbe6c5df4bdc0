"""Repair rounds among real replicas in one process."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ddb.node.consensus.open_rounds import Fate
from ddb.node.consensus.proposer import Outrun
from ddb.node.repair.round_recovery import RECOVERY_BATCH_KEYS, RoundRecovery
from ddb.node.replica.acceptor import Acceptor
from ddb.record.change import Kind, Outcome
from ddb.record.codec import encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import key_of
from ddb.wire.messages import ChangeResult, CoordinateChange
from tests.fakes.cell import CELL, CLOCK, KEY, RING, CellNode, cell_node
from tests.fakes.transport import FakeTransport, from_replicas

FAR = 1 << 60
"""A counter ahead of every clock."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Three nodes, and the transport between their replicas."""

    nodes: dict[str, CellNode]
    transport: FakeTransport

    @property
    def standby(self) -> CellNode:
        """The node that repairs."""
        return self.nodes[CELL.standby]

    @property
    def homes(self) -> list[Acceptor]:
        """The replicas of both homes."""
        return [self.nodes[name].replica for name in CELL.homes]

    async def refresh(self) -> State:
        """Repair the record through the standby."""
        return await self.standby.coordinator.refresh(KEY, CLOCK.now() + 1)


@contextmanager
def cell_at(path: Path) -> Iterator[Cell]:
    """Run the three nodes of a cell."""
    replicas: dict[str, Acceptor] = {}
    transport = FakeTransport(from_replicas(replicas))
    with ExitStack() as stack:
        nodes = {
            name: stack.enter_context(cell_node(path / name, name, transport, node_id=number))
            for number, name in enumerate(RING.names, 1)
        }
        replicas |= {name: node.replica for name, node in nodes.items()}
        yield Cell(nodes, transport)


async def store_everywhere(cell: Cell) -> None:
    """Store the same state of the record on all three."""
    for node in cell.nodes.values():
        await node.store_state(KEY, encode(State((Dot(1 << 40, 9),), True, b"{}")))


def test_refresh_gives_way_to_another_coordinator(tmp_path: Path) -> None:
    """A repair round gives way to a client's operation on the same record."""

    async def scenario(cell: Cell) -> None:
        await store_everywhere(cell)
        for home in cell.homes:
            home.promise(KEY, Dot(FAR, 7))
        with pytest.raises(Outrun):
            await cell.refresh()
        assert len(cell.transport.asked) == 1
        assert all(home.promised(KEY) == Dot(FAR, 7) for home in cell.homes)
        # The next refresh uses a higher ballot: the other coordinator may have stopped.
        assert (await cell.refresh()).newest.counter > FAR

    with cell_at(tmp_path) as cell:
        asyncio.run(scenario(cell))


def test_refresh_does_not_give_way_to_a_floor(tmp_path: Path) -> None:
    """A repair round passes the floor of a restarted home: no other coordinator repairs it."""

    async def scenario(cell: Cell) -> None:
        await store_everywhere(cell)
        for home in cell.homes:
            await home.raise_floor(FAR)
        assert (await cell.refresh()).newest.counter > FAR

    with cell_at(tmp_path) as cell:
        asyncio.run(scenario(cell))


def test_all_interrupted_rounds_are_decided_in_one_pass(tmp_path: Path) -> None:
    """Full batches follow each other without a pause."""
    keys_of_cell = [
        key for key in (key_of(f"id{n}") for n in range(10_000)) if RING.cell(key) == CELL
    ][: 3 * RECOVERY_BATCH_KEYS]

    async def scenario(cell: Cell) -> None:
        rounds = cell.standby.rounds
        for key in keys_of_cell:
            rounds.begin(key).end(Fate.UNKNOWN)
        recovery = RoundRecovery(rounds, cell.standby.coordinator, CLOCK)
        times = 1
        while await recovery.recover_batch():
            times += 1
        assert len(rounds.interrupted(1)) == 0
        assert times == 4
        assert len(cell.transport.asked) == 3 * RECOVERY_BATCH_KEYS

    assert len(keys_of_cell) == 3 * RECOVERY_BATCH_KEYS
    with cell_at(tmp_path) as cell:
        asyncio.run(scenario(cell))


def test_failed_recovery_waits_for_the_next_pass(tmp_path: Path) -> None:
    """After a failed recovery the pass ends, and the key stays interrupted."""

    async def scenario(cell: Cell) -> None:
        rounds = cell.standby.rounds
        await store_everywhere(cell)
        for home in cell.homes:
            home.promise(KEY, Dot(FAR, 7))
        rounds.begin(KEY).end(Fate.UNKNOWN)
        recovery = RoundRecovery(rounds, cell.standby.coordinator, CLOCK)
        assert not await recovery.recover_batch()
        assert rounds.interrupted(1) == [KEY]

    with cell_at(tmp_path) as cell:
        asyncio.run(scenario(cell))


def test_rejected_proposer_asks_the_same_peer_again(tmp_path: Path) -> None:
    """After a rejection the proposer sends a higher ballot to the peer that replied."""

    async def scenario(cell: Cell) -> None:
        await store_everywhere(cell)
        for home in cell.homes:
            home.promise(KEY, Dot(FAR, 7))
        update = CoordinateChange(
            KEY, Kind.UPDATE, b'{"a":1}', (), b"%012d" % 1, b"", False, b"sender", 0
        )
        handling = cell.standby.fast_write.change(update, CLOCK.now() + 5)
        assert isinstance(handling, asyncio.Future)
        assert await handling == ChangeResult(Outcome.DONE, b'{"a":1}')
        assert len(cell.transport.asked) > 1
        assert len({asked.to for asked in cell.transport.asked}) == 1

    with cell_at(tmp_path) as cell:
        asyncio.run(scenario(cell))
