"""Open rounds of a node, and the commit indexes of its peers."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.node.consensus.commit_index import MAX_SPANS_PER_PEER, PERSIST_INTERVAL_MS, CommitIndex
from ddb.node.consensus.open_rounds import Fate, OpenRounds, Round
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.rocksdb import RocksStore
from ddb.record.hybrid_clock import at_millisecond
from ddb.record.version import NEVER, Dot
from ddb.runtime.system_clock import SystemClock
from tests.node.stored import on_a_store

ME, PEER, OTHER = 1, 2, 3
ONE, TWO = b"one", b"two"


def began(rounds: OpenRounds, ballots: Ballots, key: bytes) -> tuple[Round, int]:
    """Begin a round. Return it with the counter of the ballot issued for it."""
    begun = rounds.begin(key)
    # As `issue` does once the ceiling on disk covers the counter.
    ballots.issued = ballots._hybrid.next(0, 0)
    return begun, ballots.issued


@pytest.fixture
def ballots(tmp_path: Path) -> Ballots:
    """Ballots on a closed store, since no test here reserves a ceiling."""
    found: list[Ballots] = []
    on_a_store(tmp_path, lambda store: found.append(Ballots(ME, store, SystemClock())))
    return found[0]


def test_an_open_round_limits_the_commit_index(ballots: Ballots) -> None:
    """The commit index stays below the ballot of an open round, and so below later ones."""
    rounds = OpenRounds(ballots)
    first, early = began(rounds, ballots, ONE)
    second, late = began(rounds, ballots, TWO)
    second.end(Fate.DECIDED)
    assert rounds.first_counter <= rounds.commit_index < early < late
    first.end(Fate.DECIDED)
    assert rounds.commit_index >= late


def test_an_interrupted_round_stays_open_until_a_later_one_is_decided(ballots: Ballots) -> None:
    """If a peer may have stored the state, only a decision on the same record ends the round."""
    rounds = OpenRounds(ballots)
    interrupted, ballot = began(rounds, ballots, ONE)
    interrupted.end(Fate.UNKNOWN)
    assert rounds.interrupted(9) == [ONE]
    for fate in (Fate.NEVER_STORED, Fate.UNKNOWN):
        later, _ = began(rounds, ballots, ONE)
        assert not later.is_only
        later.end(fate)
        assert rounds.commit_index < ballot
    decided, last = began(rounds, ballots, ONE)
    decided.end(Fate.DECIDED)
    assert rounds.commit_index >= last
    assert not rounds.interrupted(9)


def test_the_commit_index_covers_no_observed_counter(ballots: Ballots) -> None:
    """The commit index covers no counter that the node observed and has not issued."""
    rounds = OpenRounds(ballots)
    begun, issued = began(rounds, ballots, ONE)
    begun.end(Fate.DECIDED)
    ballots.observe(issued + 1_000)
    assert rounds.commit_index == issued
    assert OpenRounds(ballots).first_counter == issued


def test_a_void_round_leaves_nothing(ballots: Ballots) -> None:
    """A rejected round does not limit the commit index."""
    rounds = OpenRounds(ballots)
    begun, ballot = began(rounds, ballots, ONE)
    begun.end(Fate.NEVER_STORED)
    assert rounds.commit_index >= ballot
    assert not rounds.interrupted(9)


def test_own_states_and_covered_states_of_peers_are_decided(tmp_path: Path) -> None:
    """A peer's state is decided if a span of that peer's rounds covers it."""

    def scenario(store: RocksStore) -> None:
        decided = CommitIndex(ME, store)
        assert decided.covers(Dot(10**9, ME))
        assert not decided.covers(Dot(15, PEER))
        decided.advance(PEER, 10, 20)
        assert [decided.covers(Dot(counter, PEER)) for counter in (10, 11, 20, 21)] == [
            False,
            True,
            True,
            False,
        ]
        decided.advance(PEER, 10, 15)
        assert decided.covers(Dot(20, PEER))
        assert not decided.covers(Dot(15, OTHER))
        assert not decided.covers(NEVER)

    on_a_store(tmp_path, scenario)


def test_commit_index_covers_what_one_of_its_spans_covers(tmp_path: Path) -> None:
    """A peer's state is decided exactly where a notice covers it, asked singly or with others."""

    def scenario(store: RocksStore) -> None:
        @settings(deadline=None)
        @given(
            st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6),
            st.lists(st.tuples(st.integers(0, 35), st.sampled_from([ME, PEER, OTHER, 0]))),
        )
        def agree(notices: list[tuple[int, int]], dots: list[tuple[int, int]]) -> None:
            decided = CommitIndex(ME, store)
            for first_counter, upto in notices:
                decided.advance(PEER, first_counter, upto)
            expected = [
                node == ME or (node == PEER and any(low < counter <= high for low, high in notices))
                for counter, node in dots
            ]
            assert [decided.covers(Dot(*dot)) for dot in dots] == expected
            assert decided.covers_each(dots) == bytes(expected)

        agree()

    on_a_store(tmp_path, scenario)


def test_rounds_between_two_boots_of_a_peer_are_not_decided(tmp_path: Path) -> None:
    """No span covers a round that a crash interrupted, and old spans stay valid."""

    def scenario(store: RocksStore) -> None:
        decided = CommitIndex(ME, store)
        for boot in range(MAX_SPANS_PER_PEER + 2):
            decided.advance(PEER, 100 * boot, 100 * boot + 50)
        latest = 100 * (MAX_SPANS_PER_PEER + 1)
        assert decided.covers(Dot(latest + 50, PEER))
        assert not decided.covers(Dot(latest - 20, PEER))
        assert decided.covers(Dot(latest - 60, PEER))
        assert not decided.covers(Dot(20, PEER))

    on_a_store(tmp_path, scenario)


def test_commit_indexes_survive_a_restart(tmp_path: Path) -> None:
    """After a restart a node has its peers' commit indexes, except for the last second."""
    upto = at_millisecond(PERSIST_INTERVAL_MS)

    def scenario(store: RocksStore) -> None:
        decided = CommitIndex(ME, store)
        decided.advance(PEER, 1, upto)
        decided.advance(PEER, 1, upto + 1)

    def after_restart(store: RocksStore) -> None:
        decided = CommitIndex(ME, store)
        assert decided.covers(Dot(upto, PEER))
        assert not decided.covers(Dot(upto + 1, PEER))

    on_a_store(tmp_path, scenario)
    on_a_store(tmp_path, after_restart)
