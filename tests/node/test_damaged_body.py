"""A record with a damaged body: only operations on this record fail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ddb.node.consensus.open_rounds import OpenRounds
from ddb.node.node import Node
from ddb.node.storage.store import Family
from ddb.record.change import Kind
from ddb.record.codec import encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import key_of
from ddb.wire.messages import (
    CoordinateChange,
    Failed,
    Propose,
    ReadVersion,
    ReplicaState,
    Reply,
    Undecided,
)
from tests.fakes.node import RING, voting
from tests.fakes.transport import Asked, FakeTransport
from tests.loop import run
from tests.wire.serving import Node as Serving
from tests.wire.serving import Raw

KEY, OTHER = [
    key
    for key in (key_of(f"user-{number}") for number in range(200))
    if "db-0" in RING.cell(key).homes
][:2]
"""Two records with the home db-0."""
NOT_JSON = encode(State((Dot(1 << 40, 1),), True, b'{"id": broken'))
FIELDS = b'{"group":1}'
UPDATE = CoordinateChange(KEY, Kind.UPDATE, FIELDS, (), bytes(12), b"", False, b"sender", 0)
RETRY = CoordinateChange(KEY, Kind.UPDATE, FIELDS, (), bytes(12), b"", True, b"sender", 0)
CREATE = CoordinateChange(OTHER, Kind.CREATE, b"{}", (), bytes(12), b"", False, b"sender", 0)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[Serving, Node]]:
    """Run a real node whose copy of `KEY` has a body that is not JSON."""
    async with voting(path) as (node, store), Serving() as wire:
        await store.commit([(Family.RECORDS, KEY, NOT_JSON)])
        # Raise the ceiling of the node's ballots above the versions of this test.
        await node.ballots.issue(Dot(2 << 40, 1))
        wire.listener.handler = node.handle
        yield wire, node


def rounds_of(node: Node) -> OpenRounds:
    return node.fast_write._rounds


@pytest.mark.parametrize(
    ("change", "expected"), [(UPDATE, Failed), (RETRY, Undecided)], ids=["fast path", "coordinator"]
)
def test_a_body_that_is_not_json_fails_its_record_only(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: CoordinateChange,
    expected: type[Reply],
) -> None:
    """The node refuses the operation with a reason, ends its round and keeps the connection."""

    async def scenario() -> None:
        async with serving(tmp_path) as (wire, node):
            raw = await Raw.to(wire)
            for number in range(3):
                refused = await raw.ask(number, change)
                assert isinstance(refused, expected)
                assert "is not JSON" in str(refused)
            assert node.coordinator.queue.free(KEY)
            assert rounds_of(node).commit_index == node.ballots.issued
            assert not rounds_of(node).interrupted(9)
            assert not isinstance(await raw.ask(9, ReadVersion(OTHER)), Failed)

    run(scenario())
    assert len(caplog.records) == 1, "the node logs the damage once for several requests"
    assert "is refilled from them" in caplog.text


def test_a_peer_with_an_undecodable_state_leaves_no_round_open(tmp_path: Path) -> None:
    """A peer's damaged state fails the operation. Its round and its turn in the queue end."""

    async def scenario() -> None:
        async with serving(tmp_path) as (wire, node):
            damaged = encode(State((Dot(5, 1),), True, b"{}"))[:-3]

            def stale(asked: Asked) -> Reply:
                """Answer every proposal with one old state."""
                is_proposal = isinstance(asked.request, Propose)
                return ReplicaState(damaged) if is_proposal else Failed("no")

            node.fast_write._transport = FakeTransport(stale)
            tombstone = encode(State((Dot(1 << 40, 1),), False))
            await node.store.commit([(Family.RECORDS, OTHER, tombstone)])
            raw = await Raw.to(wire)
            answer = await raw.ask(1, CREATE)
            assert isinstance(answer, Undecided)
            assert not answer.in_doubt
            assert node.coordinator.queue.free(OTHER)
            assert rounds_of(node).commit_index == node.ballots.issued

    run(scenario())
