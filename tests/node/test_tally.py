"""Partition digests on a real store, compared with a recount of the records."""

import asyncio
import hashlib
import inspect
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ddb.node.replica.damage import DamageBook
from ddb.node.replica.partition_digests import ROW, PartitionDigests, walk
from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import Family
from ddb.record.codec import encode, is_live, peek
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import PARTITIONS, key_of, partition_in
from ddb.settings import Fsync
from ddb.wire.messages import Digests, GetDigests
from tests.fakes.node import RING, voting
from tests.loop import run

KEYS = [key_of(f"user-{number}") for number in range(40)]
NEVER_DUE = 1e12
"""A deadline."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    opened = RocksStore(tmp_path, Fsync.OS)
    yield opened
    opened.close()


def undamaged(store: RocksStore) -> DamageBook:
    return DamageBook(store, [Family.RECORDS] * PARTITIONS)


def recounted(store: RocksStore) -> bytes:
    """Compute the packed digests from the records alone."""
    live, digest = [0] * PARTITIONS, [0] * PARTITIONS
    for key, raw in walk(undamaged(store), Family.RECORDS):
        number = partition_in(key)
        newest = peek(raw)
        item = key + newest.counter.to_bytes(8, "big") + newest.node.to_bytes(4, "big")
        live[number] += is_live(raw)
        digest[number] ^= int.from_bytes(hashlib.blake2b(item, digest_size=8).digest(), "big")
    return b"".join(map(ROW.pack, live, digest))


def changes(seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield creations, updates and deletions of few keys, each under a newer ballot."""
    rng = random.Random(seed)
    for counter in range(1, 400):
        live = rng.random() < 0.6
        version = (Dot(counter, rng.randrange(1, 4)),)
        yield rng.choice(KEYS), encode(State(version, live, b"{}" if live else b""))


def apply(
    store: RocksStore, seed: int, check: Callable[[PartitionDigests], None]
) -> PartitionDigests:
    async def scenario() -> PartitionDigests:
        digests = PartitionDigests(store, undamaged(store))
        for count, (key, raw) in enumerate(changes(seed)):
            before = store.get(Family.RECORDS, key) or b""
            put = digests.change(key, before, raw)
            store.commit([(Family.RECORDS, key, raw), put])
            digests.apply(put)
            if count % 50 == 0:
                check(digests)
        await store.commit([])
        return digests

    return asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(5))
def test_digests_equal_a_recount(store: RocksStore, seed: int) -> None:
    """After any changes the digests match the records, in memory and on disk."""

    def check(digests: PartitionDigests) -> None:
        assert digests.packed() == recounted(store)

    digests = apply(store, seed, check)
    check(digests)
    again = PartitionDigests(store, undamaged(store))
    assert again.packed() == digests.packed()
    live = sum(is_live(raw) for _, raw in walk(undamaged(store), Family.RECORDS))
    assert digests.live == again.live == live
    assert repr(again) == f"<PartitionDigests {live} live>"


def test_equal_sets_of_states_have_equal_digests(tmp_path: Path) -> None:
    """Two homes with the same states have equal digests, and with different ones they differ.

    One home stored every state; the other stored only the last of each key, in another order.
    """
    stores = [RocksStore(tmp_path / name, Fsync.OS) for name in ("one", "other")]
    digests = apply(stores[0], 9, lambda _: None)

    async def catch_up() -> PartitionDigests:
        late = PartitionDigests(stores[1], undamaged(stores[1]))
        for key, raw in reversed(list(walk(undamaged(stores[0]), Family.RECORDS))):
            assert late.packed() != digests.packed()
            put = late.change(key, b"", raw)
            stores[1].commit([(Family.RECORDS, key, raw), put])
            late.apply(put)
        await stores[1].commit([])
        return late

    assert asyncio.run(catch_up()).packed() == digests.packed()
    for store in stores:
        store.close()


def test_a_tombstone_counts_in_the_hash_alone(store: RocksStore) -> None:
    """A deletion lowers the count by one and stays in the hash."""
    digests = PartitionDigests(store, undamaged(store))
    key = KEYS[0]
    live = encode(State((Dot(1, 1),), True, b"{}"))
    tombstone = encode(State((Dot(2, 1), Dot(1, 2)), False))
    digests.apply(digests.change(key, b"", live))
    assert digests.live == 1
    family, row, value = put = digests.change(key, live, tombstone)
    assert digests.live == 1, "a change does not count before the store has taken it"
    digests.apply(put)
    assert digests.live == 0
    assert (family, row) == (Family.DIGESTS, key[:2])
    assert value is not None
    assert ROW.unpack(value)[0] == 0
    assert ROW.unpack(value)[1] != 0


def test_walk_yields_every_pair_once_in_order(store: RocksStore) -> None:
    """A walk over several batches yields a family's pairs in key order, from a given key on."""

    async def fill() -> None:
        await store.commit([(Family.HINTS, b"%05d" % number, b"") for number in range(4_500)])

    asyncio.run(fill())
    every = [b"%05d" % number for number in range(4_500)]
    assert [key for key, _ in walk(undamaged(store), Family.HINTS)] == every
    assert [key for key, _ in walk(undamaged(store), Family.HINTS, every[2_000])] == every[2_000:]
    assert list(walk(undamaged(store), Family.RECORDS)) == []


def test_digests_wait_for_states_that_are_not_durable(tmp_path: Path) -> None:
    """A node reports digests once their states are durable, and at once if all are."""
    key = next(key for key in KEYS if "db-0" in RING.cell(key).homes)

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            node.replica.offer(key, encode(State((Dot(1 << 40, 1),), True, b"{}")))
            handling = node.handle(GetDigests(), NEVER_DUE)
            assert inspect.isawaitable(handling)
            node.replica.offer(key, encode(State((Dot(2 << 40, 1),), False)))
            durable = node.replica.writes.in_flight(key)
            reply = await handling
            assert isinstance(reply, Digests)
            number = partition_in(key)
            assert ROW.unpack_from(reply.records, number * ROW.size)[0] == 1
            assert durable is not None
            await durable
            assert node.handle(GetDigests(), NEVER_DUE) == Digests(
                node.replica.digests.packed(), {}, ()
            )

    run(scenario())
