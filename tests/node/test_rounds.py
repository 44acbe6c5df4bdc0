"""Up to where a node's rounds have ended, and what its peers know by that."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from ddb.node.consensus.commit_index import MAX_SPANS_PER_PEER, PERSIST_INTERVAL_MS, CommitIndex
from ddb.node.consensus.open_rounds import Fate, OpenRounds
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.rocksdb import RocksStore
from ddb.record.hybrid_clock import at_millisecond
from ddb.record.version import NEVER, Dot
from ddb.runtime.system_clock import SystemClock
from ddb.settings import Fsync

ME, PEER, OTHER = 1, 2, 3
ONE, TWO = b"one", b"two"


def on_a_store(path: Path, scenario: Callable[[RocksStore], None]) -> None:
    async def whole() -> None:
        store = RocksStore(path, Fsync.OS)
        try:
            scenario(store)
        finally:
            store.close()

    asyncio.run(whole())


def began(rounds: OpenRounds, ballots: Ballots, key: bytes) -> tuple[bool, int]:
    """What `begin` says, and the counter of the ballot issued for the round."""
    first = rounds.begin(key)
    # As `issue` does once the ceiling on disk covers the counter.
    ballots.issued = ballots._hybrid.next(0, 0)
    return first, ballots.issued


@pytest.fixture
def ballots(tmp_path: Path) -> Ballots:
    """Of a store that is closed: nothing here reserves a ceiling."""
    found: list[Ballots] = []
    on_a_store(tmp_path, lambda store: found.append(Ballots(ME, store, SystemClock())))
    return found[0]


def test_a_round_holds_back_its_own_ballot_and_later_ones(ballots: Ballots) -> None:
    """As long as a round is open nothing from its ballot on is said to have ended."""
    rounds = OpenRounds(ballots)
    first, early = began(rounds, ballots, ONE)
    second, late = began(rounds, ballots, TWO)
    rounds.end(TWO, second, Fate.DECIDED)
    assert rounds.since <= rounds.upto < early < late
    rounds.end(ONE, first, Fate.DECIDED)
    assert rounds.upto >= late


def test_a_round_without_an_end_stays_open_until_a_later_one_is_decided(ballots: Ballots) -> None:
    """Where a partner may have stored the state only a decision on the same record ends it."""
    rounds = OpenRounds(ballots)
    first, ballot = began(rounds, ballots, ONE)
    rounds.end(ONE, first, Fate.UNKNOWN)
    assert rounds.left(9) == [ONE]
    for fate in (Fate.NEVER_STORED, Fate.UNKNOWN):
        first, _ = began(rounds, ballots, ONE)
        assert not first
        rounds.end(ONE, first, fate)
        assert rounds.upto < ballot
    first, last = began(rounds, ballots, ONE)
    rounds.end(ONE, first, Fate.DECIDED)
    assert rounds.upto >= last
    assert not rounds.left(9)


def test_observed_counters_are_not_reported(ballots: Ballots) -> None:
    """A node reports no counter that it observed and has not issued."""
    rounds = OpenRounds(ballots)
    _, issued = began(rounds, ballots, ONE)
    rounds.end(ONE, True, Fate.DECIDED)
    ballots.observe(issued + 1_000)
    assert rounds.upto == issued
    assert OpenRounds(ballots).since == issued


def test_a_round_that_nobody_stored_leaves_nothing(ballots: Ballots) -> None:
    """A refused round holds nothing back."""
    rounds = OpenRounds(ballots)
    first, ballot = began(rounds, ballots, ONE)
    rounds.end(ONE, first, Fate.NEVER_STORED)
    assert rounds.upto >= ballot
    assert not rounds.left(9)


def test_ones_own_states_are_decided_and_others_as_far_as_told(tmp_path: Path) -> None:
    """Of a peer's states those are decided that a span of its rounds covers."""

    def scenario(store: RocksStore) -> None:
        decided = CommitIndex(ME, store)
        assert decided.covers(Dot(10**9, ME))
        assert not decided.covers(Dot(15, PEER))
        decided.told(PEER, 10, 20)
        assert [decided.covers(Dot(counter, PEER)) for counter in (10, 11, 20, 21)] == [
            False,
            True,
            True,
            False,
        ]
        decided.told(PEER, 10, 15)
        assert decided.covers(Dot(20, PEER))
        assert not decided.covers(Dot(15, OTHER))
        assert not decided.covers(NEVER)

    on_a_store(tmp_path, scenario)


def test_between_two_lives_of_a_peer_nothing_is_decided(tmp_path: Path) -> None:
    """What a crash interrupted is in no span, and old spans stay true."""

    def scenario(store: RocksStore) -> None:
        decided = CommitIndex(ME, store)
        for life in range(MAX_SPANS_PER_PEER + 2):
            decided.told(PEER, 100 * life, 100 * life + 50)
        latest = 100 * (MAX_SPANS_PER_PEER + 1)
        assert decided.covers(Dot(latest + 50, PEER))
        assert not decided.covers(Dot(latest - 20, PEER))
        assert decided.covers(Dot(latest - 60, PEER))
        assert not decided.covers(Dot(20, PEER))

    on_a_store(tmp_path, scenario)


def test_a_peers_word_outlives_a_restart(tmp_path: Path) -> None:
    """What a node was told it knows again after a restart, but for the last moments."""
    upto = at_millisecond(PERSIST_INTERVAL_MS)

    def scenario(store: RocksStore) -> None:
        decided = CommitIndex(ME, store)
        decided.told(PEER, 1, upto)
        decided.told(PEER, 1, upto + 1)

    def again(store: RocksStore) -> None:
        decided = CommitIndex(ME, store)
        assert decided.covers(Dot(upto, PEER))
        assert not decided.covers(Dot(upto + 1, PEER))

    on_a_store(tmp_path, scenario)
    on_a_store(tmp_path, again)
