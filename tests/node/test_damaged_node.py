"""Replies of a node that cannot read some of its copies."""

import asyncio
from pathlib import Path

import pytest

from ddb.node.storage.store import Family
from ddb.record.codec import encode
from ddb.record.state import State
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import END, key_of, partition_in
from ddb.wire.messages import (
    Accept,
    Digests,
    Failed,
    GetDigests,
    HandoffBatch,
    HandoffResult,
    Message,
    Propose,
    PullShare,
    ReadReplica,
    ReadVersion,
    Reply,
    Request,
    Scan,
    ScanPage,
    Share,
    SharePage,
    VersionOnly,
)
from tests.fakes.node import RING, voting
from tests.loop import run

DOT = Dot(1 << 40, 1)
WHOLE = encode(State((DOT,), True, b"{}"))
NEWER = encode(State((Dot(2 << 40, 1),), True, b"{}"))
_KEYS = [key_of(f"user-{number}") for number in range(300)]
HOME, OTHER = [key for key in _KEYS if "db-0" in RING.cell(key).homes][:2]
HINT = next(key for key in _KEYS if RING.cell(key).standby == "db-0")
KEYS = [(Family.RECORDS, HOME), (Family.HINTS, HINT)]


@pytest.mark.parametrize(("family", "key"), KEYS, ids=["home", "standby"])
def test_node_votes_outside_damaged_ranges_only(tmp_path: Path, family: Family, key: bytes) -> None:
    """A node refuses records in a damaged range, and its scans name the partitions affected."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, store):
            await store.commit([(family, key, WHOLE), (Family.RECORDS, OTHER, WHOLE)])
            node.replica.copies.damage.note_undecodable(family, key)

            async def ask(request: Request) -> Reply:
                handling = node.handle(request, 1e12)
                return handling if isinstance(handling, Message) else await handling

            for request in (
                ReadReplica(key, NEVER),
                ReadVersion(key),
                Propose(key, Dot(2 << 40, 1), DOT, NEWER),
                Accept(key, NEWER),
            ):
                assert isinstance(await ask(request), Failed)
            assert store.get(family, key) == WHOLE
            assert isinstance(await ask(ReadVersion(OTHER)), VersionOnly)
            digests = await ask(GetDigests())
            assert isinstance(digests, Digests)
            assert digests.damaged == (partition_in(key),)
            assert digests.hints[partition_in(key)] == ()
            rows = await ask(Scan(b"", END, 1000, ()))
            assert isinstance(rows, ScanPage)
            assert (rows.damaged, rows.keys) == ((partition_in(key),), [OTHER])
            if family is Family.RECORDS:
                handed = await ask(HandoffBatch([(key, NEWER), (OTHER, NEWER)]))
                assert isinstance(handed, HandoffResult)
                assert handed.marks[0] is None
                assert handed.marks[1] is not None
                malformed = HandoffBatch([(OTHER, NEWER), (OTHER, NEWER[:3])])
                assert isinstance(await ask(malformed), Failed)
                share = await ask(PullShare(RING.cell(key).homes[1], Share.HOMES, b"", 0, END))
                assert isinstance(share, SharePage)
                assert share.gaps == [(key, key + b"\x00")]
            await asyncio.sleep(0)

    run(scenario())
