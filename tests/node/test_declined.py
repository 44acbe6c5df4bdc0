"""Requests that a node cannot begin, over real sockets: it refuses them alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ddb.node.node import Node
from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import Family, StoreFailed
from ddb.record.change import Kind
from ddb.record.codec import encode
from ddb.record.state import State
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import key_of
from ddb.wire.messages import (
    Boot,
    CoordinateChange,
    Failed,
    Propose,
    ReadReplica,
    ReadVersion,
    ReplicaState,
    Request,
    VersionOnly,
)
from tests.fakes.node import RING, voting
from tests.loop import run
from tests.wire.serving import HELLO, Raw
from tests.wire.serving import Node as Serving

WHOLE = encode(State((Dot(1 << 40, 1),), True, b"{}"))
KEYS = [key_of(f"user-{number}") for number in range(200)]
MINE = [key for key in KEYS if "db-0" in RING.cell(key).homes]
DAMAGED, STORED = MINE[:2]
FOREIGN = next(key for key in KEYS if "db-0" not in RING.cell(key).nodes)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[Serving, Node, RocksStore]]:
    """Run a real node with one good copy and one unreadable copy."""
    async with voting(path) as (node, store), Serving() as wire:
        await store.commit([(Family.RECORDS, DAMAGED, b"\x1f"), (Family.RECORDS, STORED, WHOLE)])
        wire.listener.handler = node.handle
        node.admission.peers.note_hello(HELLO.caller, Boot(1, 1, (1,), 0))
        yield wire, node, store


def proposal(key: bytes) -> Request:
    return Propose(key, Dot(2 << 40, 1), NEVER, encode(State((Dot(2 << 40, 1),), False)))


@pytest.mark.parametrize(
    "broken",
    [ReadReplica(DAMAGED, NEVER), ReadVersion(FOREIGN), proposal(DAMAGED), proposal(FOREIGN)],
    ids=["damaged read", "foreign peek", "damaged proposal", "foreign proposal"],
)
def test_request_that_cannot_begin_is_refused_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: Request
) -> None:
    """The node refuses a request for a damaged or foreign record, and answers all others."""

    async def scenario() -> None:
        async with serving(tmp_path) as (wire, node, store):
            raw = await Raw.to(wire)
            before = store.get(Family.RECORDS, DAMAGED)
            for number in range(3):
                raw.send(2 * number, broken)
                raw.send(2 * number + 1, ReadReplica(STORED, NEVER))
            replies = [await raw.receive() for _ in range(6)]
            for number, reply in enumerate(replies):
                assert reply is not None, "the connection was cut"
                assert reply[0] == number
                assert isinstance(reply[1], Failed if number % 2 == 0 else ReplicaState)
            refusal = replies[0]
            assert refusal is not None
            assert "db-0" in str(refusal[1])
            assert store.get(Family.RECORDS, DAMAGED) == before
            assert node.replica.open_promise(DAMAGED) == NEVER

    run(scenario())
    assert len(caplog.records) == 1, "logged once, for any number of requests"
    assert "nothing was done" in caplog.text or "rebuilds its copies" in caplog.text


def test_damaged_copy_does_not_coordinate(tmp_path: Path) -> None:
    """A node refuses to change a record with an unreadable copy, and frees the key's turn."""
    deletion = CoordinateChange(DAMAGED, Kind.DELETE, b"", (), bytes(12), b"", False, b"sender", 0)

    async def scenario() -> None:
        async with serving(tmp_path) as (wire, node, _):
            raw = await Raw.to(wire)
            assert isinstance(await raw.ask(1, deletion), Failed)
            assert node.coordinator.queue.free(DAMAGED)
            assert isinstance(await raw.ask(2, ReadVersion(STORED)), VersionOnly)

    run(scenario())


def test_failed_read_of_the_disk_keeps_the_connection(tmp_path: Path) -> None:
    """If the disk fails a read, the node refuses that read and keeps the connection."""

    def fail(*_: object) -> bytes:
        raise StoreFailed("the disk is gone")

    async def scenario() -> None:
        async with serving(tmp_path) as (wire, _, store):
            raw = await Raw.to(wire)
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(store, "get", fail)
                refused = await raw.ask(1, ReadVersion(STORED))
            assert isinstance(refused, Failed)
            assert "the disk is gone" in refused.reason
            assert isinstance(await raw.ask(2, ReadVersion(STORED)), VersionOnly)

    run(scenario())


def test_defect_ends_the_connection(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A defect ends the connection of its request, with a log line, and no other connection."""

    async def scenario() -> None:
        async with serving(tmp_path) as (wire, _, _):
            bad, good = await Raw.to(wire), await Raw.to(wire)
            bad.send(1, ReadVersion(b"\xff\xff"))
            assert await bad.closed()
            assert isinstance(await good.ask(1, ReadVersion(STORED)), VersionOnly)

    run(scenario())
    assert "IndexError" in caplog.text
