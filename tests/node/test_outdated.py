"""An outdated disk: when its rows go, and what a share contains next to damage."""

import asyncio
import random
from pathlib import Path

import pytest

from ddb.node.context import NodeContext
from ddb.node.membership.bootstrap import Bootstrap
from ddb.node.membership.confirmation import Confirmation
from ddb.node.membership.identity import Identity, Stage, keep, mint, recall
from ddb.node.membership.outdated import discard
from ddb.node.repair import refill_source
from ddb.node.repair.refill_source import read_share
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.ballots import Ballots
from ddb.node.replica.damage import DAMAGE
from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import Family, Unreadable
from ddb.record.codec import encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import END, Ring, key_of
from ddb.runtime.system_clock import SystemClock
from ddb.settings import Fsync
from ddb.wire.messages import Member, PullShare, Reply, Share, SharePage
from tests.fakes.node import RING, voting
from tests.fakes.transport import Asked, FakeTransport
from tests.loop import run, until

NAMES = ("db-0", "db-1", "db-2")
LIVE = encode(State((Dot(1 << 40, 1),), True, b"{}"))
MALFORMED = b"\xff\xff"


async def _refill(_floor: int) -> bool:
    return True


def test_outdated_rows_stay_while_a_peer_has_damage(tmp_path: Path) -> None:
    """An outdated node discards its rows only once all other nodes can read all their copies."""

    async def scenario() -> None:
        store, clock, rng = RocksStore(tmp_path, Fsync.OS), SystemClock(), random.Random(1)
        damaged = {"db-2"}

        def vote(asked: Asked) -> Reply:
            whole = asked.to not in damaged
            return Member(Stage.READY, b"cluster", 1, votes=True, whole=whole)

        peers = FakeTransport(vote)
        fresh = mint("db-0", NAMES, rng)
        identity = Identity(fresh.name, NAMES, fresh.node_id, Stage.OUTDATED, b"cluster")
        await keep(store, identity)
        ballots = Ballots(identity.node_id, store, clock)
        confirmation = Confirmation([("db-1", "db-2")])
        context = NodeContext("db-0", Ring(NAMES), store, peers, clock, rng)
        bootstrap = Bootstrap(context, identity, ballots, confirmation, _refill, lambda: True)
        work = asyncio.ensure_future(bootstrap.run())
        await until(lambda: len(peers.asked) >= 6)
        kept = bootstrap.identity
        damaged.clear()
        await asyncio.wait_for(work, 5)
        assert (kept.discards, bootstrap.identity.discards) == (False, True)
        store.close()

    run(scenario())


def test_discard_removes_rows_and_damage(tmp_path: Path) -> None:
    """A blank disk has neither rows nor damaged ranges, and its identity stays."""

    async def scenario() -> None:
        store = RocksStore(tmp_path, Fsync.OS)
        rows = [(Family.RECORDS, b"\x00\x01user", LIVE), (Family.HINTS, b"\x00\x02user", LIVE)]
        await store.commit([*rows, (Family.META, DAMAGE, b"\x90")])
        identity = mint("db-0", NAMES, random.Random(1))
        blank = await discard(store, identity)
        assert not any(store.scan(family, b"", END, 1) for family in (Family.RECORDS, Family.HINTS))
        assert store.get(Family.META, DAMAGE) is None
        assert recall(store, "db-0", NAMES) == blank
        store.close()

    run(scenario())


def test_share_continues_after_a_malformed_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A malformed row at the end of a page becomes a gap, and the next page follows."""
    monkeypatch.setattr(refill_source, "PAGE_ROWS", 3)
    candidates = (key_of(f"user-{number}") for number in range(3000))
    keys = sorted(key for key in candidates if set(RING.cell(key).homes) == {"db-0", "db-1"})[:8]

    async def scenario() -> None:
        async with voting(tmp_path) as (node, store):
            await store.commit(
                [
                    (Family.RECORDS, key, MALFORMED if index == 2 else LIVE)
                    for index, key in enumerate(keys)
                ]
            )
            after: bytes | None = b""
            copied: list[bytes] = []
            while after is not None:
                request = PullShare("db-1", Share.HOMES, after, 0, END)
                page = await read_share(request, RING, node.replica)
                assert isinstance(page, SharePage)
                copied += [key for key, *_ in page.rows]
                after = page.after
            assert copied == [key for key in keys if key != keys[2]]

    run(scenario())


def test_malformed_rows_stop_neither_a_start_nor_a_refill(tmp_path: Path) -> None:
    """A malformed hint is damage at the start, and a malformed row on a new disk is unreadable."""
    keys = [key_of(f"user-{number}") for number in range(300)]
    hint = next(key for key in keys if RING.cell(key).standby == "db-0")
    home = next(key for key in keys if "db-0" in RING.cell(key).homes)

    async def scenario() -> None:
        store = RocksStore(tmp_path, Fsync.OS)
        await store.commit(
            [(Family.HINTS, hint, MALFORMED[:1]), (Family.RECORDS, home, MALFORMED[:1])]
        )
        replica = Acceptor("db-0", RING, store, Ballots(1, store, SystemClock()))
        assert replica.copies.damage.covers(Family.HINTS, hint)
        with pytest.raises(Unreadable):
            replica.restore(home, LIVE)
        assert replica.copies.damage.covers(Family.RECORDS, home)
        store.close()

    run(scenario())
