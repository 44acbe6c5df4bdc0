"""Nodes remember their peers' starts, and detect an outdated disk by them."""

import asyncio
import random
from pathlib import Path

import pytest

from ddb.node.membership.boots import (
    BOOT,
    MOST_NONCES,
    MOST_RETIRED,
    BootRecord,
    Finding,
    Peers,
    begin_boot,
    find,
    succeed,
)
from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import Family, written
from ddb.record.codec import encode
from ddb.record.hybrid_clock import at_millisecond
from ddb.record.state import State
from ddb.record.version import NEVER, Dot
from ddb.ring.ring import key_of
from ddb.wire.messages import (
    PROTOCOL,
    Accepted,
    Boot,
    Failed,
    Hello,
    Propose,
    Refusal,
    Unwelcome,
    Welcome,
)
from ddb.wire.ports import Handling
from tests.fakes.node import NAMES, RING, voting
from tests.loop import run
from tests.node.stored import on_a_store

OLD, NEW = 11, 22
KEY = next(
    key
    for key in (key_of(f"user-{number}") for number in range(200))
    if NAMES[0] in RING.cell(key).homes
)

SEEN = BootRecord(OLD, 5, 55, reached=1_000, retired=(3, 4))


@pytest.mark.parametrize(
    ("boot", "finding"),
    [
        (Boot(OLD, 6, (66,), 1_000), None),
        (Boot(OLD, 9, (99,), 2_000), None),
        (Boot(OLD, 5, (55,), 0), None),
        (Boot(NEW, 1, (11,), 0), None),
        (Boot(OLD, 4, (44,), 2_000), Finding.EARLIER_BOOT),
        (Boot(OLD, 5, (56,), 2_000), Finding.USED_BOOT),
        (Boot(OLD, 6, (66, 55), 1_000), None),
        (Boot(OLD, 6, (66, 56), 2_000), Finding.OTHER_START),
        (Boot(OLD, 7, (77, 66, 56, 44), 2_000), Finding.OTHER_START),
        (Boot(OLD, 6, (66, 55), 999), Finding.LOWER_CEILING),
        (Boot(3, 900, (1,), 9_000), Finding.RETIRED_ID),
    ],
    ids=[
        "the next start",
        "a later start",
        "the same start again",
        "a new disk",
        "an earlier boot",
        "a boot number used twice",
        "the next start, whose disk remembers this one",
        "a start after another one with this number",
        "a later start after another one with this number",
        "a ceiling that was higher",
        "a retired id",
    ],
)
def test_an_outdated_disk_is_detected(boot: Boot, finding: Finding | None) -> None:
    """`find` has evidence against a start exactly where its disk is outdated."""
    assert find(SEEN, boot) is finding
    assert find(None, boot) is None


def test_a_new_id_retires_the_old_one() -> None:
    """The ceiling of a lost disk does not bind its successor, and its node id is refused."""
    after = succeed(SEEN, Boot(NEW, 1, (1,), 0))
    assert after == BootRecord(NEW, 1, 1, 0, (3, 4, OLD))
    assert find(after, Boot(NEW, 2, (2,), 0)) is None
    assert find(after, Boot(OLD, 6, (66,), 9_000)) is Finding.RETIRED_ID


def test_retired_ids_are_bounded() -> None:
    """A node remembers the latest `MOST_RETIRED` node ids of a peer."""
    record = None
    for number in range(MOST_RETIRED + 5):
        record = succeed(record, Boot(number + 1, 1, (1,), 0))
    assert record is not None
    assert len(record.retired) == MOST_RETIRED
    assert record.retired[-1] == MOST_RETIRED + 4


def test_a_boot_number_is_used_once(tmp_path: Path) -> None:
    """Each start of a disk takes the next number and a new nonce."""

    async def scenario(store: RocksStore) -> None:
        boots = [await begin_boot(store, OLD, random.Random(seed)) for seed in range(3)]
        assert [boot.number for boot in boots] == [1, 2, 3]
        assert len({boot.nonces[0] for boot in boots}) == 3
        assert [len(boot.nonces) for boot in boots] == [1, 2, 3]
        assert boots[2].nonces[1:] == boots[1].nonces

    on_a_store(tmp_path, scenario)


def test_an_image_is_detected_after_more_starts(tmp_path: Path) -> None:
    """A restored directory is refused even where its boot number has grown beyond the latest."""

    async def scenario(store: RocksStore) -> None:
        first = await begin_boot(store, OLD, random.Random(1))
        recorded = succeed(None, first)
        image = store.get(Family.META, BOOT)
        recorded = succeed(recorded, await begin_boot(store, OLD, random.Random(2)))
        await store.commit([(Family.META, BOOT, image)])
        boots = [await begin_boot(store, OLD, random.Random(seed)) for seed in (3, 4, 5)]
        assert [find(recorded, boot) for boot in boots] == [
            Finding.USED_BOOT,
            Finding.OTHER_START,
            Finding.OTHER_START,
        ]

    on_a_store(tmp_path, scenario)


def test_remembered_nonces_are_bounded(tmp_path: Path) -> None:
    """A disk remembers the nonces of its latest `MOST_NONCES` starts."""

    async def scenario(store: RocksStore) -> None:
        rng = random.Random(1)
        boots = [await begin_boot(store, OLD, rng) for _ in range(MOST_NONCES + 2)]
        assert len(boots[-1].nonces) == MOST_NONCES
        assert find(succeed(None, boots[0]), boots[-1]) is None

    on_a_store(tmp_path, scenario)


def test_records_of_peers_survive_a_restart(tmp_path: Path) -> None:
    """A restarted node remembers the ceilings of its peers."""

    async def scenario(store: RocksStore) -> None:
        peers = Peers(NAMES, store)
        await written(peers.remember("db-1", Boot(OLD, 1, (1,), 0)))
        peers.note_ceiling(OLD, at_millisecond(5_000))
        restarted = Peers(NAMES, store)
        lower = Boot(OLD, 2, (2,), at_millisecond(4_000))
        assert restarted.check("db-1", lower) is Finding.LOWER_CEILING
        assert restarted.check("db-2", lower) is None

    on_a_store(tmp_path, scenario)


def test_a_proposal_of_a_lost_disk_is_refused(tmp_path: Path) -> None:
    """After a peer's Hello with a new node id, a node refuses proposals of the earlier id."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):

            def hello(node_id: int, number: int) -> Hello:
                return Hello(PROTOCOL, RING.digest, "db-1", 0, Boot(node_id, number, (node_id,), 0))

            def propose(counter: int, caller: Hello | None) -> Handling:
                ballot = Dot(at_millisecond(counter), OLD)
                state = encode(State((ballot,), True, b"{}"))
                return node.handle(Propose(KEY, ballot, NEVER, state), 1e12, caller)

            before, after = hello(OLD, 7), hello(NEW, 1)
            assert isinstance(propose(1, None), Failed)
            assert isinstance(propose(1, before), Failed), "it has sent no Hello"
            assert isinstance(await node.admission.greet(before), Welcome)
            stored = propose(1, before)
            assert isinstance(stored, asyncio.Future)
            assert isinstance(await stored, Accepted)
            node.admission.check_answer("db-1", Welcome("db-1", 0, after.boot))
            assert isinstance(await node.admission.greet(after), Welcome)
            assert isinstance(propose(2, before), Failed)
            assert isinstance(propose(2, after), Failed)
            refused = await node.admission.greet(before)
            assert isinstance(refused, Unwelcome)
            assert refused.refusal is Refusal.OUTDATED_DISK

    run(scenario())
