"""How long an operation is remembered."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.node.consensus.dedup_window import (
    GATEWAY_WINDOW_S,
    ISSUE_GRAIN_S,
    KEYED_WINDOW_S,
    MAX_KEYED_ENTRIES,
    DedupWindow,
)
from ddb.record.change import Outcome
from ddb.record.keyed_log import appended
from ddb.record.state import Entry, Operation, State
from ddb.record.version import Dot

steady = settings(deadline=None)
SENDER = b"gatewy"
A, B = 1, 2
"""Two coordinators' node ids."""


@dataclass(slots=True)
class SetClock:
    """A clock that stands where it is put."""

    at: float = 1000.0

    def now(self) -> float:
        """Where it stands."""
        return self.at

    def wall_ms(self) -> int:
        """Nothing here asks for it."""
        return 0


def entry(sequence: int, sender: bytes = SENDER) -> Entry:
    return Entry(Operation(sender + sequence.to_bytes(6, "big")), Outcome.DONE)


def full(ballot: Dot, count: int = MAX_KEYED_ENTRIES) -> State:
    """A state that remembers so many operations, all of one coordinator's rounds."""
    log = b""
    for number in range(count):
        log = appended(log, number.to_bytes(8, "big"), b"abcd", Outcome.DONE, ballot)
    return State((ballot,), True, b"{}", (), log)


def test_gateway_says_which_are_over() -> None:
    """A gateway's operations are forgettable once it has said so, those from `low` on are not."""
    memory = DedupWindow(SetClock())
    memory.record_low(SENDER, 5)
    assert memory.forgettable(entry(4))
    assert not memory.forgettable(entry(5))
    memory.record_low(SENDER, 6)
    assert memory.forgettable(entry(5))


def test_late_word_of_a_gateway_takes_nothing_back() -> None:
    """An older request of a gateway, arriving late, does not make its operations live again."""
    memory = DedupWindow(SetClock())
    memory.record_low(SENDER, 9)
    memory.record_low(SENDER, 3)
    assert memory.forgettable(entry(8))


def test_silent_gateway_is_given_a_window() -> None:
    """A silent gateway's operations are forgettable a whole window after a later one was seen."""
    clock = SetClock()
    memory = DedupWindow(clock)
    assert not memory.forgettable(entry(2))
    clock.at += GATEWAY_WINDOW_S
    assert not memory.forgettable(entry(2))
    clock.at += 0.01
    assert memory.forgettable(entry(2))
    assert memory.forgettable(entry(1))
    assert not memory.forgettable(entry(3))


def test_ballot_expires_a_window_after_it_was_seen() -> None:
    """A coordinator's ballots expire a whole window after a later one was seen, and no other's."""
    clock = SetClock()
    memory = DedupWindow(clock)
    memory.saw((Dot(7, A),))
    clock.at += KEYED_WINDOW_S
    assert not memory.expired(Dot(7, A))
    clock.at += 0.01
    assert memory.expired(Dot(7, A))
    assert memory.expired(Dot(6, A))
    assert not memory.expired(Dot(8, A))
    assert not memory.expired(Dot(6, B))


def test_key_used_again_through_another_coordinator_has_its_own_window() -> None:
    """A second use of a key does not expire with the first, whoever coordinates either."""
    clock = SetClock()
    memory = DedupWindow(clock)
    memory.saw((Dot(7, A),))
    clock.at += KEYED_WINDOW_S + 1
    assert memory.expired(Dot(7, A))
    again = Dot(9, B)
    memory.saw((again, Dot(7, A)))
    clock.at += KEYED_WINDOW_S - 1
    assert not memory.expired(again)
    clock.at += 2
    assert memory.expired(again)


def test_restart_begins_the_watch_again() -> None:
    """A node that has restarted has seen no ballot yet."""
    clock = SetClock()
    DedupWindow(clock).saw((Dot(7, A),))
    clock.at += 2 * KEYED_WINDOW_S
    assert not DedupWindow(clock).expired(Dot(7, A))


def test_peer_tells_a_restarted_node_what_has_expired() -> None:
    """What expired at a peer has expired, and a later ballot has not."""
    clock = SetClock()
    peer, restarted = DedupWindow(clock), DedupWindow(clock)
    peer.issued(A, 7)
    clock.at += KEYED_WINDOW_S + 1
    restarted.issued(B, 3)
    restarted.learn_expired(peer.expired_ballots())
    assert peer.expired_ballots() == restarted.expired_ballots() == {A: 7}
    assert restarted.expired(Dot(7, A))
    assert not restarted.expired(Dot(8, A))
    restarted.learn_expired({A: 5})
    assert restarted.expired(Dot(7, A))


def test_full_record_says_when_it_has_room() -> None:
    """A record with all the operations it may remember has room once the oldest slice expires."""
    clock = SetClock()
    memory = DedupWindow(clock)
    assert memory.full_for_s(full(Dot(7, A), MAX_KEYED_ENTRIES - 1)) is None
    state = full(Dot(7, A))
    assert memory.full_for_s(state) == KEYED_WINDOW_S + 1
    clock.at += 100
    left = memory.full_for_s(state)
    assert left == KEYED_WINDOW_S - 100 + 1
    clock.at += left
    assert memory.full_for_s(state) is None


def test_what_one_issuer_takes_is_bounded() -> None:
    """Ballots seen at every moment of an hour take no more marks than a window has grains."""
    clock = SetClock()
    memory = DedupWindow(clock)
    for number in range(3600):
        clock.at += 1
        memory.issued(A, number)
        due = number - int(KEYED_WINDOW_S + ISSUE_GRAIN_S) - 2
        assert due < 0 or memory.expired(Dot(due, A))
        assert not memory.expired(Dot(max(0, number - int(KEYED_WINDOW_S) + 1), A))
    marks = int(KEYED_WINDOW_S / ISSUE_GRAIN_S)
    assert repr(memory).endswith(f"ballots <IssueLog 1 issuers, {marks} marks>>")


def test_memory_of_gateways_does_not_grow_without_bound() -> None:
    """A gateway that is silent for a window takes no room but one issuer's, of so many at most."""
    clock = SetClock()
    memory = DedupWindow(clock)
    for number in range(5_000):
        clock.at += 1
        memory.record_low(number.to_bytes(6, "big"), 1)
        memory.forgettable(entry(number, b"G%05d" % number))
    assert repr(memory).startswith(
        "<DedupWindow 119 gateways, sequences <IssueLog 1024 issuers, 1024 marks>"
    )


@steady
@given(
    st.lists(
        st.tuples(st.floats(0, 400), st.integers(0, 3), st.integers(-1, 5), st.integers(0, 9)),
        max_size=60,
    )
)
def test_never_forgets_early(steps: list[tuple[float, int, int, int]]) -> None:
    """Nothing is forgotten before its gateway's word, or a window after it was issued."""
    clock = SetClock()
    memory = DedupWindow(clock)
    issued: dict[tuple[bytes | int, int], float] = {}
    sequences = dict.fromkeys(range(4), 0)
    lows: dict[bytes, int] = {}
    for passed, issuer, low, step in steps:
        clock.at += passed
        name = bytes([issuer]) * 6
        if low >= 0:
            memory.record_low(name, low)
            lows[name] = max(low, lows.get(name, 0))
        sequences[issuer] += step
        number = sequences[issuer]
        issued.setdefault((name, number), clock.at)
        issued.setdefault((issuer, number), clock.at)
        if step % 2:
            memory.saw((Dot(number, issuer),))
        for (source, counter), at in issued.items():
            if isinstance(source, int):
                early = memory.expired(Dot(counter, source)) and clock.at - at <= KEYED_WINDOW_S
            else:
                told = lows.get(source, 0) > counter
                early = (
                    memory.forgettable(entry(counter, source))
                    and not told
                    and clock.at - at <= GATEWAY_WINDOW_S
                )
            assert not early
