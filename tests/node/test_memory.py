"""How long an operation is remembered."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.node.memory import GATEWAY_WINDOW, KEPT, KEYED_WINDOW, LET_GO, OVER, Memory
from ddb.record.change import Outcome
from ddb.record.state import Entry, Operation

steady = settings(deadline=None)
SENDER = b"gatewy"
KEY = b"client-named"


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


def named(fingerprint: bytes = b"abcd") -> Entry:
    return Entry(Operation(KEY, fingerprint), Outcome.DONE)


def test_gateway_says_which_are_over() -> None:
    """A gateway's operations are forgettable once it has said so, those from `low` on are not."""
    memory = Memory(SetClock())
    memory.heard(SENDER, 5)
    assert memory.forgettable(entry(4))
    assert not memory.forgettable(entry(5))
    memory.heard(SENDER, 6)
    assert memory.forgettable(entry(5))


def test_late_word_of_a_gateway_takes_nothing_back() -> None:
    """An older request of a gateway, arriving late, does not make its operations live again."""
    memory = Memory(SetClock())
    memory.heard(SENDER, 9)
    memory.heard(SENDER, 3)
    assert memory.forgettable(entry(8))


def test_silent_gateway_is_given_a_window() -> None:
    """The operations of a gateway never heard of are forgettable after a whole window of watch."""
    clock = SetClock()
    memory = Memory(clock)
    assert not memory.forgettable(entry(1))
    clock.at += GATEWAY_WINDOW
    assert not memory.forgettable(entry(1))
    clock.at += 0.01
    assert memory.forgettable(entry(1))
    assert not memory.forgettable(entry(2))


def test_named_operation_holds_ten_minutes_whatever_gateways_say() -> None:
    """A client's own operation is kept for its whole window, watched by this node itself."""
    clock = SetClock()
    memory = Memory(clock)
    memory.heard(KEY[:6], 2**48 - 1)
    assert not memory.forgettable(named())
    clock.at += KEYED_WINDOW
    assert not memory.forgettable(named())
    clock.at += 0.01
    assert memory.forgettable(named())


def test_one_key_on_two_records_has_two_windows() -> None:
    """A key that was used long ago for another request is watched for this one from now on."""
    clock = SetClock()
    memory = Memory(clock)
    memory.forgettable(named(b"abcd"))
    clock.at += KEYED_WINDOW + 1
    assert memory.forgettable(named(b"abcd"))
    assert not memory.forgettable(named(b"wxyz"))


def test_key_used_anew_is_watched_anew() -> None:
    """A key used once more, long after it was forgotten, is not forgotten at once."""
    clock = SetClock()
    memory = Memory(clock)
    memory.forgettable(named())
    clock.at += KEPT + GATEWAY_WINDOW
    assert not memory.forgettable(named())
    clock.at += KEYED_WINDOW - 1
    assert not memory.forgettable(named())


def test_restart_begins_the_watch_again() -> None:
    """A node that has restarted has watched nothing yet."""
    clock = SetClock()
    Memory(clock).forgettable(named())
    clock.at += 2 * KEYED_WINDOW
    assert not Memory(clock).forgettable(named())


def test_key_used_again_at_once_is_watched_anew() -> None:
    """A key used once more as soon as it was forgotten is kept for ten minutes from then."""
    clock = SetClock()
    memory = Memory(clock)
    memory.forgettable(named())
    clock.at += KEYED_WINDOW + 1
    assert memory.forgettable(named())
    memory.begun(named().operation)
    assert not memory.forgettable(named())
    clock.at += KEYED_WINDOW
    assert not memory.forgettable(named())
    clock.at += 1
    assert memory.forgettable(named())


def test_all_who_ask_while_a_round_lasts_are_told_the_same() -> None:
    """What is forgettable stays so for the other steps of the round, and for one made again."""
    clock = SetClock()
    memory = Memory(clock)
    memory.forgettable(named())
    clock.at += KEYED_WINDOW + 1
    for _ in range(10):
        assert memory.forgettable(named())
        clock.at += OVER / 10
    assert memory.forgettable(named())


def test_watch_is_let_go_with_its_entry() -> None:
    """What was said to be forgettable is soon not watched any more, and a new use is not over."""
    clock = SetClock()
    memory = Memory(clock)
    for number in range(100):
        memory.forgettable(entry(number, b"absent"))
    clock.at += GATEWAY_WINDOW + 1
    for number in range(100):
        assert memory.forgettable(entry(number, b"absent"))
    clock.at += OVER + 1
    for number in range(100, 130):
        memory.forgettable(entry(number, b"absent"))
    assert repr(memory) == "<Memory 0 gateways, 30 operations watched>"
    assert not memory.forgettable(entry(1, b"absent"))


def test_no_request_waits_for_a_million_watches() -> None:
    """However many watches are over at once, a request lets go of a few, and of each in time."""
    clock = SetClock()
    memory = Memory(clock)
    for number in range(5_000):
        memory.forgettable(entry(number, b"absent"))
    clock.at += KEPT
    watched = 5_000
    for number in range(5_000, 10_000):
        memory.forgettable(entry(number, b"absent"))
        left = int(repr(memory).split(", ")[1].split()[0])
        assert watched - LET_GO < left <= watched + 1
        watched = left
    assert watched == 5_000


def test_memory_does_not_grow_without_bound() -> None:
    """What has long been over takes no room."""
    clock = SetClock()
    memory = Memory(clock)
    for number in range(5_000):
        clock.at += 1
        memory.heard(number.to_bytes(6, "big"), 1)
        memory.forgettable(entry(number, b"absent"))
    assert repr(memory) == "<Memory 119 gateways, 720 operations watched>"
    clock.at += KEPT
    for number in range(720 // (LET_GO - 1) + 1):
        memory.forgettable(entry(number, b"absent"))
    assert repr(memory) == "<Memory 0 gateways, 241 operations watched>"


@steady
@given(st.lists(st.tuples(st.floats(0, 200), st.integers(0, 3), st.integers(-1, 5)), max_size=60))
def test_never_forgets_early(steps: list[tuple[float, int, int]]) -> None:
    """Nothing is forgettable before its gateway's word, or before this node watched a window."""
    clock = SetClock()
    memory = Memory(clock)
    first_look: dict[bytes, float] = {}
    lows: dict[bytes, int] = {}
    for passed, sender, low in steps:
        clock.at += passed
        name = bytes([sender]) * 6
        if low >= 0:
            memory.heard(name, low)
            lows[name] = max(low, lows.get(name, 0))
        for each in (entry(3, name), Entry(Operation(name * 2, b"abcd"), Outcome.DONE)):
            operation = each.operation
            first = first_look.setdefault(operation.id + operation.fingerprint, clock.at)
            if memory.forgettable(each):
                watched = clock.at - first
                window = KEYED_WINDOW if operation.fingerprint else GATEWAY_WINDOW
                told = not operation.fingerprint and lows.get(name, 0) > 3
                assert told or watched > window
