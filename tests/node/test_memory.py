"""The dedup window: how long a record remembers an operation."""

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
from tests.fakes.clock import SetClock

steady = settings(deadline=None)
SENDER = b"gatewy"
A, B = 1, 2
"""Two coordinators' node ids."""


def entry(sequence: int, sender: bytes = SENDER) -> Entry:
    return Entry(Operation(sender + sequence.to_bytes(6, "big")), Outcome.DONE)


def full(ballot: Dot, count: int = MAX_KEYED_ENTRIES) -> State:
    """Return a state that remembers `count` operations under one ballot."""
    log = b""
    for number in range(count):
        log = appended(log, number.to_bytes(8, "big"), b"abcd", Outcome.DONE, ballot)
    return State((ballot,), True, b"{}", (), log)


def test_operations_below_the_reported_low_are_forgettable() -> None:
    """A node may forget a gateway's operations below its reported `low`, and no others."""
    window = DedupWindow(SetClock())
    window.record_low(SENDER, 5)
    assert window.forgettable(entry(4))
    assert not window.forgettable(entry(5))
    window.record_low(SENDER, 6)
    assert window.forgettable(entry(5))


def test_late_report_does_not_lower_the_limit() -> None:
    """An older report that arrives late does not make operations unforgettable again."""
    window = DedupWindow(SetClock())
    window.record_low(SENDER, 9)
    window.record_low(SENDER, 3)
    assert window.forgettable(entry(8))


def test_silent_gateways_operations_expire_after_a_window() -> None:
    """A silent gateway's operation is forgettable a window after the node saw a later one."""
    clock = SetClock()
    window = DedupWindow(clock)
    assert not window.forgettable(entry(2))
    clock.at += GATEWAY_WINDOW_S
    assert not window.forgettable(entry(2))
    clock.at += 0.01
    assert window.forgettable(entry(2))
    assert window.forgettable(entry(1))
    assert not window.forgettable(entry(3))


def test_ballot_expires_a_window_after_the_node_saw_it() -> None:
    """A ballot expires a window after the node saw a later one of the same coordinator."""
    clock = SetClock()
    window = DedupWindow(clock)
    window.saw((Dot(7, A),))
    clock.at += KEYED_WINDOW_S
    assert not window.expired(Dot(7, A))
    clock.at += 0.01
    assert window.expired(Dot(7, A))
    assert window.expired(Dot(6, A))
    assert not window.expired(Dot(8, A))
    assert not window.expired(Dot(6, B))


def test_key_used_again_through_another_coordinator_has_its_own_window() -> None:
    """A second use of a key does not expire with the first, under another coordinator either."""
    clock = SetClock()
    window = DedupWindow(clock)
    window.saw((Dot(7, A),))
    clock.at += KEYED_WINDOW_S + 1
    assert window.expired(Dot(7, A))
    again = Dot(9, B)
    window.saw((again, Dot(7, A)))
    clock.at += KEYED_WINDOW_S - 1
    assert not window.expired(again)
    clock.at += 2
    assert window.expired(again)


def test_restart_begins_the_window_again() -> None:
    """A restarted node has seen no ballot yet."""
    clock = SetClock()
    DedupWindow(clock).saw((Dot(7, A),))
    clock.at += 2 * KEYED_WINDOW_S
    assert not DedupWindow(clock).expired(Dot(7, A))


def test_restarted_node_learns_expired_ballots_from_a_peer() -> None:
    """A ballot that expired at a peer has expired; a later one has not."""
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


def test_full_record_has_room_once_its_oldest_slice_expires() -> None:
    """The dedup window returns the seconds until a full record has room again."""
    clock = SetClock()
    window = DedupWindow(clock)
    assert window.full_for_s(full(Dot(7, A), MAX_KEYED_ENTRIES - 1)) is None
    state = full(Dot(7, A))
    assert window.full_for_s(state) == KEYED_WINDOW_S + 1
    clock.at += 100
    left = window.full_for_s(state)
    assert left == KEYED_WINDOW_S - 100 + 1
    clock.at += left
    assert window.full_for_s(state) is None


def test_marks_of_one_issuer_are_bounded() -> None:
    """A ballot each second for an hour leaves no more marks than a window has grains."""
    clock = SetClock()
    window = DedupWindow(clock)
    for number in range(3600):
        clock.at += 1
        window.issued(A, number)
        due = number - int(KEYED_WINDOW_S + ISSUE_GRAIN_S) - 2
        assert due < 0 or window.expired(Dot(due, A))
        assert not window.expired(Dot(max(0, number - int(KEYED_WINDOW_S) + 1), A))
    marks = int(KEYED_WINDOW_S / ISSUE_GRAIN_S)
    assert repr(window).endswith(f"ballots <IssueLog 1 issuers, {marks} marks>>")


def test_log_of_gateways_is_bounded() -> None:
    """A gateway that is silent for a window takes no memory but one of 1024 issuers."""
    clock = SetClock()
    window = DedupWindow(clock)
    for number in range(5_000):
        clock.at += 1
        window.record_low(number.to_bytes(6, "big"), 1)
        window.forgettable(entry(number, b"G%05d" % number))
    assert repr(window).startswith(
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
    """No operation expires before its gateway reports it, or a window after its issue."""
    clock = SetClock()
    window = DedupWindow(clock)
    issued: dict[tuple[bytes | int, int], float] = {}
    sequences = dict.fromkeys(range(4), 0)
    lows: dict[bytes, int] = {}
    for passed, issuer, low, step in steps:
        clock.at += passed
        name = bytes([issuer]) * 6
        if low >= 0:
            window.record_low(name, low)
            lows[name] = max(low, lows.get(name, 0))
        sequences[issuer] += step
        number = sequences[issuer]
        issued.setdefault((name, number), clock.at)
        issued.setdefault((issuer, number), clock.at)
        if step % 2:
            window.saw((Dot(number, issuer),))
        for (source, counter), at in issued.items():
            if isinstance(source, int):
                early = window.expired(Dot(counter, source)) and clock.at - at <= KEYED_WINDOW_S
            else:
                reported = lows.get(source, 0) > counter
                early = (
                    window.forgettable(entry(counter, source))
                    and not reported
                    and clock.at - at <= GATEWAY_WINDOW_S
                )
            assert not early
