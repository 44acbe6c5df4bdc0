"""What nodes remember of each other's starts, and what an old disk is known by."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ddb.node.membership.boots import (
    MOST_RETIRED,
    Finding,
    Peers,
    Standing,
    begin_boot,
    find,
    succeed,
)
from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import written
from ddb.record.codec import encode
from ddb.record.hybrid_clock import at_millisecond
from ddb.record.state import State
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import key_of
from ddb.settings import Fsync
from ddb.wire.messages import PROTOCOL, Accepted, Boot, Failed, Hello, Propose, Unwelcome, Welcome
from ddb.wire.ports import Handling
from tests.loop import run
from tests.node.alone import NAMES, RING, voting

OLD, NEW = 11, 22
MINE = next(
    key
    for key in (key_of(f"user-{number}") for number in range(200))
    if NAMES[0] in RING.cell(key).homes
)
SEEN = Standing(OLD, 5, 55, reached=1_000, retired=(3, 4))


def on_a_store(path: Path, scenario: Callable[[RocksStore], Awaitable[None]]) -> None:
    async def whole() -> None:
        store = RocksStore(path, Fsync.OS)
        try:
            await scenario(store)
        finally:
            store.close()

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("boot", "finding"),
    [
        (Boot(OLD, 6, 66, 1_000), None),
        (Boot(OLD, 9, 99, 2_000), None),
        (Boot(OLD, 5, 55, 0), None),
        (Boot(NEW, 1, 11, 0), None),
        (Boot(OLD, 4, 44, 2_000), Finding.EARLIER_BOOT),
        (Boot(OLD, 5, 56, 2_000), Finding.USED_BOOT),
        (Boot(OLD, 6, 66, 999), Finding.LOWER_CEILING),
        (Boot(3, 900, 1, 9_000), Finding.RETIRED_ID),
    ],
    ids=[
        "the next start",
        "a later start",
        "the same start again",
        "a new disk",
        "an earlier boot",
        "a boot number used twice",
        "a ceiling that was higher",
        "a retired id",
    ],
)
def test_an_old_disk_is_known_by_its_boot(boot: Boot, finding: Finding | None) -> None:
    """A start is refused exactly where it proves a disk older than what is remembered."""
    assert find(SEEN, boot) is finding
    assert find(None, boot) is None


def test_a_new_id_starts_afresh_and_retires_the_old_one() -> None:
    """What an old disk had reached is not held against the new one, and the old id is refused."""
    after = succeed(SEEN, Boot(NEW, 1, 1, 0))
    assert after == Standing(NEW, 1, 1, 0, (3, 4, OLD))
    assert find(after, Boot(NEW, 2, 2, 0)) is None
    assert find(after, Boot(OLD, 6, 66, 9_000)) is Finding.RETIRED_ID


def test_retired_ids_are_bounded() -> None:
    """A node remembers the latest ids of a peer that changes its disk again and again."""
    known = None
    for number in range(MOST_RETIRED + 5):
        known = succeed(known, Boot(number + 1, 1, 1, 0))
    assert known is not None
    assert len(known.retired) == MOST_RETIRED
    assert known.retired[-1] == MOST_RETIRED + 4


def test_a_boot_number_is_used_once(tmp_path: Path) -> None:
    """Each start of a disk has the next number and a nonce of its own."""

    async def scenario(store: RocksStore) -> None:
        boots = [await begin_boot(store, OLD, random.Random(seed)) for seed in range(3)]
        assert [boot.number for boot in boots] == [1, 2, 3]
        assert len({boot.nonce for boot in boots}) == 3

    on_a_store(tmp_path, scenario)


def test_what_is_known_of_a_peer_outlives_a_restart(tmp_path: Path) -> None:
    """A node that restarts remembers how far its peers had come."""

    async def scenario(store: RocksStore) -> None:
        peers = Peers(NAMES, store)
        await written(peers.remember("db-1", Boot(OLD, 1, 1, 0)))
        peers.reached(OLD, at_millisecond(5_000))
        again = Peers(NAMES, store)
        lower = Boot(OLD, 2, 2, at_millisecond(4_000))
        assert again.judge("db-1", lower) is Finding.LOWER_CEILING
        assert again.judge("db-2", lower) is None

    on_a_store(tmp_path, scenario)


def test_a_proposal_of_a_lost_disk_is_refused(tmp_path: Path) -> None:
    """Once a peer has introduced itself under a new id, its earlier proposals count no more."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):

            def hello(node_id: int, number: int) -> Hello:
                return Hello(PROTOCOL, RING.digest, "db-1", 0, Boot(node_id, number, node_id, 0))

            def propose(counter: int, caller: Hello | None) -> Handling:
                ballot = Dot(at_millisecond(counter), OLD)
                state = encode(State((ballot,), True, b"{}"))
                return node.handle(Propose(MINE, ballot, NEVER, state), 1e12, caller)

            before, after = hello(OLD, 7), hello(NEW, 1)
            assert isinstance(propose(1, None), Failed)
            assert isinstance(propose(1, before), Failed), "it has not introduced itself"
            assert isinstance(await node.greet(before), Welcome)
            stored = propose(1, before)
            assert isinstance(stored, asyncio.Future)
            assert isinstance(await stored, Accepted)
            assert isinstance(await node.greet(after), Welcome)
            assert isinstance(propose(2, before), Failed)
            assert isinstance(propose(2, after), Failed)
            refused = await node.greet(before)
            assert isinstance(refused, Unwelcome)
            assert refused.outdated

    run(scenario())
