"""Tallies, against counting all over again, on a real store."""

import asyncio
import hashlib
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

KEYS = [key_of(f"user-{number}") for number in range(40)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    opened = RocksStore(tmp_path, Fsync.OS)
    yield opened
    opened.close()


def undamaged(store: RocksStore) -> DamageBook:
    return DamageBook(store, [Family.RECORDS] * PARTITIONS)


def recounted(store: RocksStore) -> bytes:
    """What the tallies should be, from the records alone."""
    live, digest = [0] * PARTITIONS, [0] * PARTITIONS
    for key, raw in walk(undamaged(store), Family.RECORDS):
        number = partition_in(key)
        newest = peek(raw)
        item = key + newest.counter.to_bytes(8, "big") + newest.node.to_bytes(4, "big")
        live[number] += is_live(raw)
        digest[number] ^= int.from_bytes(hashlib.blake2b(item, digest_size=8).digest(), "big")
    return b"".join(map(ROW.pack, live, digest))


def changes(seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Creations, updates and deletions of few keys, each under a newer ballot."""
    rng = random.Random(seed)
    for counter in range(1, 400):
        live = rng.random() < 0.6
        version = (Dot(counter, rng.randrange(1, 4)),)
        yield rng.choice(KEYS), encode(State(version, live, b"{}" if live else b""))


def apply(
    store: RocksStore, seed: int, check: Callable[[PartitionDigests], None]
) -> PartitionDigests:
    async def scenario() -> PartitionDigests:
        book = PartitionDigests(store, undamaged(store))
        for count, (key, raw) in enumerate(changes(seed)):
            before = store.get(Family.RECORDS, key) or b""
            tally = book.changed(key, before, raw)
            store.commit([(Family.RECORDS, key, raw), tally])
            book.taken(tally)
            if count % 50 == 0:
                check(book)
        await store.commit([])
        return book

    return asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(5))
def test_tallies_equal_a_recount(store: RocksStore, seed: int) -> None:
    """After any changes the tallies are those of the records, in memory and when read again."""

    def check(book: PartitionDigests) -> None:
        assert book.packed() == recounted(store)

    book = apply(store, seed, check)
    check(book)
    again = PartitionDigests(store, undamaged(store))
    assert again.packed() == book.packed()
    live = sum(is_live(raw) for _, raw in walk(undamaged(store), Family.RECORDS))
    assert book.live == again.live == live
    assert repr(again) == f"<TallyBook {live} live>"


def test_equal_sets_of_states_have_equal_tallies(tmp_path: Path) -> None:
    """Two homes that hold the same states agree, whatever way they came to them; else they do not.

    One home saw every state, the other only the last of each key, in another order.
    """
    stores = [RocksStore(tmp_path / name, Fsync.OS) for name in ("one", "other")]
    book = apply(stores[0], 9, lambda _: None)

    async def catch_up() -> PartitionDigests:
        late = PartitionDigests(stores[1], undamaged(stores[1]))
        for key, raw in reversed(list(walk(undamaged(stores[0]), Family.RECORDS))):
            assert late.packed() != book.packed()
            tally = late.changed(key, b"", raw)
            stores[1].commit([(Family.RECORDS, key, raw), tally])
            late.taken(tally)
        await stores[1].commit([])
        return late

    assert asyncio.run(catch_up()).packed() == book.packed()
    for store in stores:
        store.close()


def test_tombstones_count_in_the_digest_alone(store: RocksStore) -> None:
    """A deletion lowers the count by one and leaves a trace in the digest."""
    book = PartitionDigests(store, undamaged(store))
    key = KEYS[0]
    live = encode(State((Dot(1, 1),), True, b"{}"))
    gone = encode(State((Dot(2, 1), Dot(1, 2)), False))
    book.taken(book.changed(key, b"", live))
    assert book.live == 1
    family, row, value = tally = book.changed(key, live, gone)
    assert book.live == 1, "nothing counts before the store has taken it"
    book.taken(tally)
    assert book.live == 0
    assert (family, row) == (Family.TALLIES, key[:2])
    assert value is not None
    assert ROW.unpack(value)[0] == 0
    assert ROW.unpack(value)[1] != 0


def test_walk_sees_every_pair_once_in_order(store: RocksStore) -> None:
    """A walk gives a family's pairs in key order, from after a key on, over many batches."""

    async def fill() -> None:
        await store.commit([(Family.HINTS, b"%05d" % number, b"") for number in range(4_500)])

    asyncio.run(fill())
    every = [b"%05d" % number for number in range(4_500)]
    assert [key for key, _ in walk(undamaged(store), Family.HINTS)] == every
    assert [key for key, _ in walk(undamaged(store), Family.HINTS, every[2_000])] == every[2_000:]
    assert list(walk(undamaged(store), Family.RECORDS)) == []
