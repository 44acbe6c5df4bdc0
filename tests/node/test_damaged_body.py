"""A copy whose body cannot be decoded: it costs operations on that record, and nothing else."""

import asyncio
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
    Request,
    Undecided,
)
from ddb.wire.ports import Condition
from tests.loop import run
from tests.node.alone import RING, Alone, voting
from tests.wire.serving import Node as Serving
from tests.wire.serving import Raw

KEY, OTHER = [
    key
    for key in (key_of(f"user-{number}") for number in range(200))
    if "db-0" in RING.cell(key).homes
][:2]
NO_JSON = encode(State((Dot(1 << 40, 1),), True, b'{"id": broken'))
FIELDS = b'{"group":1}'
UPDATE = CoordinateChange(KEY, Kind.UPDATE, FIELDS, (), bytes(12), b"", False, b"sender", 0)
RETRY = CoordinateChange(KEY, Kind.UPDATE, FIELDS, (), bytes(12), b"", True, b"sender", 0)
CREATE = CoordinateChange(OTHER, Kind.CREATE, b"{}", (), bytes(12), b"", False, b"sender", 0)


class Behind(Alone):
    """A `Transport` to nodes that answer every proposal with an old state."""

    def __init__(self, state: bytes) -> None:
        self._state = state

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        asked: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        asked.set_result(
            ReplicaState(self._state) if isinstance(request, Propose) else Failed("no")
        )
        return asked

    def condition(self, _to: str) -> Condition:
        """As `Transport.condition`."""
        return Condition.UP


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[Serving, Node]]:
    """A real node with one copy whose body is no JSON."""
    async with voting(path) as (node, store), Serving() as wire:
        await store.commit([(Family.RECORDS, KEY, NO_JSON)])
        # So that its ceiling covers the ballots to come.
        await node.ballots.issue(Dot(2 << 40, 1))
        wire.listener.handler = node.handle
        yield wire, node


def rounds_of(node: Node) -> OpenRounds:
    return node.fast._rounds


@pytest.mark.parametrize(
    ("change", "answer"), [(UPDATE, Failed), (RETRY, Undecided)], ids=["fast path", "coordinator"]
)
def test_a_body_that_is_no_json_costs_its_record_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: CoordinateChange, answer: type[Reply]
) -> None:
    """The operation is refused with a reason, its round ends, and the connection stays."""

    async def scenario() -> None:
        async with serving(tmp_path) as (wire, node):
            raw = await Raw.to(wire)
            for number in range(3):
                refused = await raw.ask(number, change)
                assert isinstance(refused, answer)
                assert "is not JSON" in str(refused)
            assert node.coordinator.queue.free(KEY)
            assert rounds_of(node).upto == node.ballots.issued
            assert not rounds_of(node).left(9)
            assert not isinstance(await raw.ask(9, ReadVersion(OTHER)), Failed)

    run(scenario())
    assert len(caplog.records) == 1, "logged once, however often it is asked"
    assert "is refilled from them" in caplog.text


def test_a_partner_whose_state_cannot_be_decoded_leaves_no_round_open(tmp_path: Path) -> None:
    """A partner's damaged state costs the operation; its round and its turn end."""

    async def scenario() -> None:
        async with serving(tmp_path) as (wire, node):
            damaged = encode(State((Dot(5, 1),), True, b"{}"))[:-3]
            behind = Behind(damaged)
            node.fast._transport = behind
            held = encode(State((Dot(1 << 40, 1),), False))
            await node.store.commit([(Family.RECORDS, OTHER, held)])
            raw = await Raw.to(wire)
            answer = await raw.ask(1, CREATE)
            assert isinstance(answer, Undecided)
            assert not answer.maybe
            assert node.coordinator.queue.free(OTHER)
            assert rounds_of(node).upto == node.ballots.issued

    run(scenario())
